"""How fast this machine computes and reads: measured once in about ten seconds with the engine's own kernels, kept
under penjing's home.

A calibration holds for one machine as it is: other cores, another quota of CPU time or another llama.cpp library make
another identity, and it is measured again.

Does not know: models, what the numbers predict.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penjing.errors import MachineError
from penjing.files import home, write_whole
from penjing.native.library import library_version
from penjing.probe import apart
from penjing.probe.machine import Machine
from penjing.progress import Report

FORMAT = 2
"""Raised when the numbers come to mean something else: what was kept is then measured again."""
COMMAND = (sys.executable, "-m", "penjing.probe.measure")
PATIENCE = 120.0
"""Seconds after which a measurement is given up; a slow board takes three times the usual ten."""
FEW = 4
"""Tokens at once where several answers grow together."""
SPREAD = 0.10
BUSY = 0.20
"""Above either of these a calibration is `noisy`: tries this share slower than the best one, or other programs taking
this share of the processor."""


class CalibrationFailed(MachineError):
    """Facts: `detail`."""

    template = "This machine could not be measured: {detail}"
    hint = "penjing doctor checks the library; try again with: penjing probe --calibrate"
    code = "calibration_failed"


@dataclass(frozen=True)
class Product:
    """One kernel. `prefill` in FLOP/s for 512 tokens at once; `decode` in bytes of weights (or of keys and values) a
    second for one token at a time, from memory, `few` the same for FEW tokens at once. Best of several."""

    prefill: float
    decode: float
    few: float


@dataclass(frozen=True)
class Calibration:
    """`bandwidth` (of memory, reading, all `threads`) and `bandwidth_single` (one thread) in bytes/s; `matmul` by
    ggml's type name; `attention` is flash attention over f16 keys and values, whose FLOP count is 4 for each number of
    a head, cell and query head; `operation` in seconds: starting and ending one operation with `threads` threads;
    `reading` are pairs: so many bytes read over and over, at so many bytes a second (small ones lie in a cache);
    `disk` in bytes/s, of the disk of penjing's home, None where it could not be told. `when` is ISO 8601, UTC.

    `spread` is the share by which a kernel's middle try was slower than its best one, their mean, `load` the share of
    the processor that other programs took; `noisy` where either says that the numbers are too low.
    """

    machine: str
    when: str
    library: str
    threads: int
    bandwidth: float
    bandwidth_single: float
    matmul: Mapping[str, Product]
    attention: Product
    reading: tuple[tuple[int, float], ...]
    operation: float
    disk: float | None
    spread: float
    load: float
    seconds: float
    format: int = field(default=FORMAT)

    @property
    def noisy(self) -> bool:
        """Whether something else was running, so that the machine can do better than this."""
        return self.spread > SPREAD or self.load > BUSY


def identity(machine: Machine) -> str:
    """What a calibration belongs to: 16 hexadecimal digits over processor, cores (a quota counts), library."""
    cores = (machine.physical_cores, machine.logical_cores, machine.performance_cores)
    facts = (FORMAT, machine.system, machine.cpu, *sorted(machine.features), *cores, library_version())
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def place(machine: Machine) -> Path:
    """Where this machine's calibration is kept; a home on a network disk may serve several machines."""
    return home() / "calibration" / f"{identity(machine)}.json"


def kept(machine: Machine) -> Calibration | None:
    """The calibration of `machine` from an earlier measurement; None where there is none that can be read."""
    import msgspec

    try:
        found = msgspec.json.decode(place(machine).read_bytes(), type=Calibration)
    except (OSError, msgspec.DecodeError):  # ValidationError too: written by another version, or damaged
        return None
    return found if found.format == FORMAT else None


def calibrate(machine: Machine, report: Report | None = None) -> Calibration:
    """Measure now (about ten seconds) and keep the result. `report` hears how far it is; an exception it raises, or
    Ctrl-C, ends the measurement and keeps what was kept before. Raises CalibrationFailed."""
    import msgspec

    facts = _run(machine.performance_cores, machine.last_cache, report or (lambda progress: None))
    facts |= {"machine": identity(machine), "library": library_version()}
    try:
        result = msgspec.convert(facts, Calibration)
    except msgspec.ValidationError as error:
        raise CalibrationFailed(detail=str(error)) from error
    write_whole(place(machine), msgspec.json.encode(result))
    return result


def _run(threads: int, cache: int, report: Report) -> dict[str, object]:
    """What the measuring process found."""
    folder = home()
    folder.mkdir(parents=True, exist_ok=True)
    command = (*COMMAND, "--threads", str(threads), "--cache", str(cache), "--folder", str(folder))
    return apart.run(command, patience=PATIENCE, report=report, failed=lambda detail: CalibrationFailed(detail=detail))
