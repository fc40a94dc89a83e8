"""What was planned, beside what was measured: the proof of the plan.

Does not know: how either was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penjing.engines.engine import Engine
from penjing.engines.llamacpp import LlamaCpp
from penjing.operate.measure.load import Load
from penjing.plan import speed
from penjing.plan.speed import Interval
from penjing.probe import calibrate, machine, model
from penjing.probe.calibrate import Calibration
from penjing.probe.facts import Model


@dataclass(frozen=True)
class Planned:
    """Tokens a second of one stream; None where the plan does not know (no calibration, several streams, a GPU)."""

    prefill: Interval | None = None
    decode: Interval | None = None


class Plan:
    """What the planner says of a started engine of this machine. `memory` in bytes, 0 for an engine elsewhere."""

    def __init__(self, engine: Engine) -> None:
        self.memory = 0
        self._model: Model | None = None
        self._calibration: Calibration | None = None
        if not isinstance(engine, LlamaCpp) or engine.derived is None:
            return
        self.memory = engine.derived.need.resident
        self._kv_type = engine.derived.settings.kv_type
        settings = engine.derived.settings
        if not settings.gpu_layers and not settings.private:  # what is sealed is not looked into
            self._model = model.read(Path(engine.derived.settings.model))
            self._calibration = calibrate.kept(machine.read(gpus=False))

    @property
    def known(self) -> bool:
        """Whether it says anything about speed."""
        return self._model is not None and self._calibration is not None

    def of(self, load: Load) -> Planned:
        """What is to be expected of `load`: the answer's own growth counts half."""
        if self._model is None or self._calibration is None or load.clients > 1 or load.rate:
            return Planned()
        asked = speed.Load(
            prompt_tokens=load.prompt - load.shared,
            past_tokens=load.shared,
            context_tokens=load.prompt + load.output // 2,
            kv_type=self._kv_type,
        )
        told = speed.predict(self._model, self._calibration, asked)
        return Planned(told.prefill_tokens_per_s, told.decode_tokens_per_s)
