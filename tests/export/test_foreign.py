"""What a converter raises becomes an error with a next step; what is ours, the disk's or the person's stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from penjing.errors import ModelCorrupt
from penjing.export.foreign import LONGEST, ConverterFailed, translated


def test_words_of_a_converter_are_kept_short() -> None:
    with pytest.raises(ConverterFailed) as told, translated("litert", Path("model")):
        raise RuntimeError("pass 17\n  failed " + "x" * 1000)
    assert "RuntimeError: pass 17 failed" in told.value.message("en")
    assert len(str(told.value.facts["detail"])) <= LONGEST
    assert told.value.advice("zh") != told.value.advice("en")


@pytest.mark.parametrize("error", [ModelCorrupt(path="a", detail="b"), OSError(28, "full"), KeyboardInterrupt()])
def test_others_stay_what_they_are(error: BaseException) -> None:
    with pytest.raises(type(error)), translated("litert", Path("model")):
        raise error
