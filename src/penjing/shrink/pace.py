"""How fast this machine does what recipes ask for: from its calibration, and from what earlier runs here took.

    PENJING_HOME/pace.json    seconds for a unit of work, by kind of step

Does not know: steps.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from penjing.files import home, write_whole
from penjing.probe.calibrate import Calibration
from penjing.shrink.steps.kind import Pace

NAME = "pace.json"
TRAINING = 0.5
"""Of the engine's FLOP/s in F16 that training reaches (the built-in model: 86 GFLOP/s a core in f32 where the engine
does 88)."""
ENCODING = 4e6
"""Weights a second and thread that ggml's k-quants are made at, without an importance matrix, about."""
WEIGHT = 0.3
"""Of the newest run, in the mean of all."""


def rates(calibration: Calibration) -> dict[str, float]:
    """Units a second by what is done (`Pace.rates`)."""
    product = calibration.matmul.get("F16") or next(iter(calibration.matmul.values()))
    return {
        "train": product.prefill * TRAINING,
        "read": product.prefill,
        "encode": ENCODING * calibration.threads,
        "copy": calibration.disk or 1e9,
    }


def pace(calibration: Calibration) -> Pace:
    """What is known of this machine."""
    return Pace(rates(calibration), _known().get(calibration.machine, {}))


def learn(calibration: Calibration, kind: str, effort: float, seconds: float) -> None:
    """Keep in mind how long a step took."""
    if effort <= 0:
        return
    known = _known()
    mine = known.setdefault(calibration.machine, {})
    seen = seconds / effort
    mine[kind] = seen if kind not in mine else mine[kind] * (1 - WEIGHT) + seen * WEIGHT
    write_whole(place(), msgspec.json.format(msgspec.json.encode(known), indent=2))


def place() -> Path:
    """Where it is kept."""
    return home() / NAME


def _known() -> dict[str, dict[str, float]]:
    try:
        return msgspec.json.decode(place().read_bytes(), type=dict[str, dict[str, float]])
    except (OSError, msgspec.DecodeError):
        return {}
