"""The built page: what the sources make, whole, and small."""

from __future__ import annotations

import gzip
import hashlib
import html
from collections.abc import Iterable
from pathlib import Path

from penjing.export.page import built

WEB = Path(__file__).parents[2] / "web"
SOURCES = (
    "public",
    "src",
    "index.html",
    "package-lock.json",
    "package.json",
    "tools",
    "tsconfig.json",
    "vite.config.ts",
)
"""What the page is built from, below `web/`; the same list stands in `web/tools/pack.ts`."""
MOST_SHELL_BYTES = 250_000


def source_digest() -> str:
    """SHA-256 (hex) over the names and digests of the page's sources."""
    digest = hashlib.sha256()
    found = {path.relative_to(WEB).as_posix(): path for path in source_files()}
    for name, path in sorted(found.items()):
        digest.update(f"{name}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def source_files() -> Iterable[Path]:
    for name in SOURCES:
        path = WEB / name
        yield from (path,) if path.is_file() else (each for each in path.rglob("*") if each.is_file())


def test_it_was_built_from_the_sources_that_are_here() -> None:
    assert built().source == source_digest(), "the page is stale: make web"


def test_every_file_is_what_the_list_says() -> None:
    for asset in built().assets:
        plain = asset.plain()
        assert hashlib.sha256(plain).hexdigest() == asset.sha256, asset.name
        assert len(plain) == asset.size, asset.name


def test_the_shell_is_small() -> None:
    shell = sum(len(asset.gzipped()) for asset in built().assets if asset.shell)
    print(f"shell: {shell} bytes gzipped of at most {MOST_SHELL_BYTES}")
    assert shell == built().shell_bytes <= MOST_SHELL_BYTES


def test_the_index_names_only_files_that_are_there() -> None:
    by_name = {asset.name: asset for asset in built().assets}
    index = by_name["index.html"].plain().decode()
    named = [part.split('"', 1)[0] for part in index.split('="./')[1:]]
    assert named
    assert set(named) <= set(by_name)
    assert f'content="{built().policy}"' in html.unescape(index)


def test_nothing_is_loaded_from_elsewhere() -> None:
    policy = built().policy
    assert "http" not in policy
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy


def test_gzip_carries_no_time_so_that_builds_are_the_same() -> None:
    for asset in built().assets:
        header = asset.gzipped()[:8]
        assert header[:2] == gzip.compress(b"")[:2]
        assert header[4:8] == b"\0\0\0\0", asset.name
