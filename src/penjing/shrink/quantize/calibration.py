"""Calibration text in tokens: several texts in turn, so that any first part of it has all their languages.

Does not know: what is measured on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penjing.shrink.evaluate.engine import Engine
from penjing.shrink.quantize.way import calibrated
from penjing.shrink.texts.faults import CalibrationTooShort, TextTooShort
from penjing.shrink.texts.known import CALIBRATION, builtin
from penjing.shrink.texts.text import Text
from penjing.shrink.texts.windows import CONTEXT, Windows, windows

LEAST = 4
"""Fewer of a text say nothing of 256 columns."""


def calibration(
    source: Path, texts: Sequence[Text] | None = None, *, most: int | None = None, context: int = CONTEXT
) -> Windows:
    """Windows of `texts` (the built-in ones where None) as the model at `source` reads them, chat template included:
    one of each in turn, `most` in all (None: by its size). All their tokens count, those of questions too. Raises
    CalibrationTooShort, WrongLanguage, LoadFailed."""
    texts = builtin(CALIBRATION) if texts is None else texts
    with Engine(source) as engine:
        length = min(context, engine.model.trained_context or context)
        most = most or calibrated(engine.model.parameters, length)
        least = max(1, LEAST // len(texts))
        try:
            each = [windows(text, engine, context=length, most=-(-most // len(texts)), least=least) for text in texts]
        except TextTooShort as error:
            raise CalibrationTooShort(**error.facts) from error
    order = sorted((index, number) for number, one in enumerate(each) for index in range(len(one.tokens)))[:most]
    tokens = np.stack([each[number].tokens[index] for index, number in order])
    digests = "".join(one.digest for one in each)
    return Windows(
        name=", ".join(one.name for one in each),
        digest=hashlib.sha256(digests.encode()).hexdigest() if len(each) > 1 else digests,
        tokens=tokens,
        written=np.ones_like(tokens, np.bool_),
    )
