"""What a person may set of training what is quantized.

Does not know: models, torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from penjing.shrink.distill.options import Distilling


@dataclass(frozen=True)
class Refining(Distilling):
    """As `Distilling`, with the original as the teacher. `rate` is in steps of quantization: how far a number may move
    in one update, where 1 leads from one code to the next. Raises
    SettingError."""

    steps: int = 300
    rate: float = 0.01
    warmup: float = 0.1
    learn: str = "all"
