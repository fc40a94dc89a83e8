"""The chat page as it was built from `web/`: its files, which `pip install` brings along.

Each file lies there as it is sent: `NAME.gz`, and of the shell `NAME.br` too. `built.json` lists them with the SHA-256
of what they hold, and with the digest of the sources they were built from.

Does not know: HTTP, models.
"""

from __future__ import annotations

import functools
import gzip
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


@dataclass(frozen=True)
class Asset:
    """One file. `size` and `sha256` are of what it holds; `immutable`: its name changes with that; `shell`: a first
    visit needs it."""

    name: str
    type: str
    size: int
    sha256: str
    immutable: bool
    shell: bool

    def gzipped(self) -> bytes:
        """As it is sent with `Content-Encoding: gzip` (RFC 1952)."""
        return _folder().joinpath(self.name + ".gz").read_bytes()

    def brotli(self) -> bytes | None:
        """As it is sent with `Content-Encoding: br` (RFC 7932); None for wasm."""
        path = _folder().joinpath(self.name + ".br")
        return path.read_bytes() if path.is_file() else None

    def plain(self) -> bytes:
        """What it holds."""
        return gzip.decompress(self.gzipped())


@dataclass(frozen=True)
class Built:
    """`policy`: what the page may do, as a Content-Security-Policy; `source`: the digest of what it was built
    from (`web/tools/pack.ts`); `shell_bytes`: of the gzipped shell."""

    source: str
    policy: str
    shell_bytes: int
    assets: tuple[Asset, ...]


def _folder() -> Traversable:
    return files("penjing").joinpath("data", "web")


@functools.cache
def built() -> Built:
    """The page in this package."""
    raw = json.loads(_folder().joinpath("built.json").read_text(encoding="utf-8"))
    assets = tuple(
        Asset(name, each["type"], each["bytes"], each["sha256"], each["immutable"], each["shell"])
        for name, each in raw["files"].items()
    )
    return Built(raw["source"], raw["policy"], raw["shell_gzip_bytes"], assets)
