"""What tuning chose, kept per machine and model: PENJING_HOME/tuned/MACHINE/MODEL.json.

A machine is its processor and how many cores of it may be used; a model is the beginning of its file (which holds all
of its header) and its size, or the same of each file of a checkpoint.

Does not know: how it was found.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from penjing.files import home, write_whole
from penjing.native.processor import identity
from penjing.operate.tune.trial import Tried
from penjing.operate.tune.ways import Way
from penjing.probe.machine import Machine

FORMAT = 1
"""Of the file; one of another number counts as none."""
HEADER = 1 << 16
"""Bytes at the beginning of a model's file by which it is known again."""
DIGITS = 16
"""Hexadecimal ones of a SHA-256 in a file's name."""
WEIGHTS = ("*.safetensors", "config.json")
"""The files by which a checkpoint is known again."""


class Figures(msgspec.Struct, frozen=True):
    """One way with its medians in tokens a second; `rounds` of each, `same` as in `trial.Tried`."""

    way: Way
    prefill: float = 0.0
    decode: float = 0.0
    many: float = 0.0
    rounds: tuple[tuple[float, float, float], ...] = ()
    same: float | None = None
    ready: float = 0.0
    error: str = ""


class Tuned(msgspec.Struct, frozen=True):
    """`chosen` is the best way of each workload; `wanted` the one workload that was asked for, or empty for all.
    `tried` begins with the usual way. `when` is ISO 8601 in UTC."""

    model: str
    when: str
    seconds: float
    chosen: dict[str, Way]
    tried: tuple[Figures, ...]
    wanted: str = ""
    machine: str = ""
    format: int = FORMAT

    def way(self, workload: str) -> Way | None:
        """For `workload`, unless another was asked for."""
        return self.chosen.get(self.wanted or workload)

    def figures(self, way: Way) -> Figures | None:
        """What was measured of `way`."""
        return next((each for each in self.tried if each.way == way), None)


def figures(one: Tried) -> Figures:
    """Of a way that was tried."""
    rounds = tuple((each.prefill, each.decode, each.many) for each in one.rounds)
    middles = (one.middle("prefill"), one.middle("decode"), one.middle("many"))
    return Figures(one.way, *middles, rounds, one.same, one.ready, one.error)


def machine_key(machine: Machine) -> str:
    """Of this machine as it may be used now."""
    facts = (identity(), machine.performance_cores, machine.logical_cores, [gpu.name for gpu in machine.gpus])
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:DIGITS]


def model_key(source: Path) -> str:
    """Of a file, or of a folder. Raises OSError where it is gone."""
    files = [source] if source.is_file() else sorted(each for pattern in WEIGHTS for each in source.glob(pattern))
    found = hashlib.sha256()
    for each in files:
        with each.open("rb") as stream:
            found.update(f"{each.stat().st_size}:".encode() + stream.read(HEADER))
    return found.hexdigest()[:DIGITS]


def place(machine: Machine, source: Path) -> Path:
    """Where it is kept. Raises OSError."""
    return home() / "tuned" / machine_key(machine) / f"{model_key(source)}.json"


def keep(tuned: Tuned, machine: Machine, sources: tuple[Path, ...]) -> None:
    """For the model at `sources`: what was named, and the file made of it."""
    for source in dict.fromkeys(sources):
        write_whole(place(machine, source), msgspec.json.encode(tuned))


def forget(machine: Machine, sources: tuple[Path, ...]) -> bool:
    """Whether there was something to forget."""
    found = [path for source in dict.fromkeys(sources) if (path := place(machine, source)).exists()]
    for path in found:
        path.unlink()
    return bool(found)


def read(machine: Machine, source: Path) -> Tuned | None:
    """What was chosen for the model at `source`; None where nothing was, or by another version of penjing."""
    try:
        found = msgspec.json.decode(place(machine, source).read_bytes(), type=Tuned)
    except (OSError, msgspec.DecodeError):
        return None
    return found if found.format == FORMAT else None


def any_kept() -> bool:
    """Whether anything was ever tuned here: asked first, since it costs next to nothing."""
    return (home() / "tuned").is_dir()
