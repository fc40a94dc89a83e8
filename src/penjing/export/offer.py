"""A model that a browser may take with it, and `site.json`, in which the page reads which there are.

Does not know: HTTP, how the page runs it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from penjing.probe import model as probe
from penjing.progress import Progress, Report

BLOCK = 1 << 22
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Offer:
    """The GGUF at `path`, called `name`. `context` in tokens, 0 where its header does not say; `thinks`: its chat
    template can be told to."""

    name: str
    path: Path
    size: int
    sha256: str
    context: int
    thinks: bool

    @property
    def file(self) -> str:
        """Where it lies below the page. The name changes with the content, so that nobody mixes two versions."""
        stem = NOT_IN_NAMES.sub("-", self.name).strip("-.") or "model"
        return f"models/{stem}-{self.sha256[:12]}.gguf"


def offer(path: Path, name: str, report: Report | None = None) -> Offer:
    """The model at `path`, read whole once for its SHA-256. Raises ModelError, and what `report` raises."""
    found = probe.read(path)
    size = path.stat().st_size
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
            done += len(block)
            if report is not None:
                report(Progress(done / size, "hashing"))
    return Offer(name, path, size, digest.hexdigest(), found.context, "enable_thinking" in found.chat_template)


def site(offers: Iterable[Offer], *, server: bool, fingerprint: str = "") -> bytes:
    """`site.json`. `server`: whether a penjing server answers beside the page. `fingerprint`: of the certificate beside
    the page that a browser must trust to keep it, "" where there is none."""
    models = [
        {
            "name": each.name,
            "file": each.file,
            "bytes": each.size,
            "sha256": each.sha256,
            "context": each.context,
            "thinks": each.thinks,
        }
        for each in offers
    ]
    return json.dumps({"server": server, "fingerprint": fingerprint, "models": models}, indent=1).encode() + b"\n"
