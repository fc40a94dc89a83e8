"""Texts that a target calibrates on, in the checkpoint's own tokens: the built-in ones, or what a person names.

Does not know: what is calibrated.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.errors import InputError
from penjing.export.target import Options
from penjing.probe.checkpoint import chat_template, load_json
from penjing.shrink.texts.faults import WrongLanguage
from penjing.shrink.texts.known import CALIBRATION, texts
from penjing.shrink.texts.text import Text
from penjing.shrink.texts.windows import Tokenizer, windows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOWS, LENGTH = 32, 512
"""How many windows, and tokens of one at most."""
FAST, SETTINGS = "tokenizer.json", "tokenizer_config.json"


class NothingToCalibrate(InputError):
    """Facts: `precision`, `known`."""

    template = "{precision} is made without calibration text."
    hint = "Leave --calibration out, or take --precision {known}."
    code = "nothing_to_calibrate"


class Fast:
    """A checkpoint's tokenizer.json as texts are read with (`texts.windows.Tokenizer`)."""

    def __init__(self, folder: Path) -> None:
        """Raises ShrinkExtraMissing, TokenizerUnreadable, DamagedConfig."""
        from penjing.export.prompts import fast

        self._plain, self._special = fast(folder / FAST), fast(folder / FAST)
        self._plain.encode_special_tokens = True
        settings = load_json(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
        self.template = chat_template(folder)
        self.bos_text, self.eos_text = (_text(settings.get(name)) for name in ("bos_token", "eos_token"))
        first = self._special.encode("a").ids[:1]
        self.bos = first[0] if first and first[0] == self._special.token_to_id(self.bos_text) else None
        self.vocabulary: int = self._special.get_vocab_size()

    def tokenize(self, text: str, *, special: bool) -> Sequence[int]:
        """As `Tokenizer.tokenize`."""
        chosen = self._special if special else self._plain
        found: list[int] = chosen.encode(text, add_special_tokens=False).ids
        return found


def require_calibrated(options: Options, calibrated: Sequence[str]) -> None:
    """Raises NothingToCalibrate where texts were named for a precision that is not among `calibrated`."""
    if options.calibration is not None and options.precision not in calibrated:
        raise NothingToCalibrate(precision=options.precision, known=", ".join(calibrated))


def read(model: Path, options: Options, longest: int) -> list[NDArray[np.int64]]:
    """Windows of tokens, each [n], all of one length: at most WINDOWS of LENGTH, of `longest` where that is less. A
    built-in text in a language that the tokenizer can only spell is left out. Raises NotAText, TextTooShort,
    WrongLanguage, ShrinkExtraMissing, ModelError."""
    sources = texts(str(options.calibration or CALIBRATION))
    tokenizer = reader(model)
    length, share = min(LENGTH, longest), -(-WINDOWS // len(sources))
    found, refused = [], None
    for source in sources:
        try:
            found.append(_windows(source, tokenizer, length, share))
        except WrongLanguage as error:  # noqa: PERF203  two texts
            refused = error
    if refused is not None and not found:
        raise refused
    return [each for part in found for each in part]


def _windows(text: Text, tokenizer: Tokenizer, length: int, most: int) -> list[NDArray[np.int64]]:
    return list(windows(text, tokenizer, context=length, most=most).tokens.astype("int64"))


def reader(model: Path) -> Tokenizer:
    """The tokenizer of a checkpoint: tokenizer.json as it is, older forms as transformers reads them. Raises
    ShrinkExtraMissing, TokenizerUnreadable, LoadFailed."""
    if (model / FAST).is_file():
        return Fast(model)
    from penjing.shrink.examples import Reader
    from penjing.shrink.torch_model import tokenizer

    return Reader(tokenizer(model))


def _text(token: object) -> str:
    found = token.get("content") if isinstance(token, dict) else token  # AddedToken's form or plain text
    return found if isinstance(found, str) else ""
