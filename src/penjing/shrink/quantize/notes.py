"""What was measured of a model is kept, so that another budget, or a run that was stopped, need not measure it again.

    PENJING_HOME/cache/quantize/NAME-KEY.json    {"errors": {tensor: {type: E}}, "kl": {types' digest: KL}, ...}

Does not know: what the numbers mean.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

import penjing
from penjing.files import home, write_whole
from penjing.native.library import library_version
from penjing.probe.facts import Model

VERSION = 2
"""Raise it when the same model would be measured to something else."""
LONGEST_NAME = 40


class Kept(msgspec.Struct):
    """`errors` by tensor and type, `kl` by `digest` of the types of a file."""

    errors: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)
    kl: dict[str, float] = msgspec.field(default_factory=dict)


class Notes:
    """Of `model` with what `depends` on besides (digests of texts, settings)."""

    def __init__(self, model: Model, depends: Mapping[str, object]) -> None:
        facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in model.files]
        known = [VERSION, penjing.__version__, library_version(), str(model.path.resolve()), facts, dict(depends)]
        key = hashlib.sha256(msgspec.json.encode(known)).hexdigest()[:16]
        name = re.sub(r"[^\w.]+", "_", model.path.stem)[:LONGEST_NAME]
        self.path: Path = home() / "cache" / "quantize" / f"{name}-{key}.json"
        self.kept = self._read()

    def _read(self) -> Kept:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Kept)
        except (OSError, msgspec.DecodeError):  # none yet, or one that an old penjing wrote otherwise
            return Kept()

    def write(self) -> None:
        """Keep what is known now."""
        write_whole(self.path, msgspec.json.encode(self.kept))


def digest(types: Mapping[str, str]) -> str:
    """A name for a choice of types."""
    return hashlib.sha256(msgspec.json.encode(sorted(types.items()))).hexdigest()[:24]
