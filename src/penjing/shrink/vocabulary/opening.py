"""Which kind a checkpoint's tokenizer is.

Does not know: what is done with it.
"""

from __future__ import annotations

from pathlib import Path

from penjing.probe.checkpoint import load_json
from penjing.shrink.extra import require
from penjing.shrink.vocabulary.byte_level import ByteLevel
from penjing.shrink.vocabulary.faults import NoTokenizerPage, TokenizerKindUnknown
from penjing.shrink.vocabulary.page import Page
from penjing.shrink.vocabulary.sentence import SentenceBpe, Unigram

NAME = "tokenizer.json"


def read(folder: Path) -> Page:
    """The tokenizer of the checkpoint in `folder`. Raises NoTokenizerPage, TokenizerKindUnknown, DamagedConfig,
    ShrinkExtraMissing."""
    require("tokenizers")
    path = folder / NAME
    if not path.is_file():
        raise NoTokenizerPage(path=str(folder))
    content = load_json(path)
    model = content.get("model")
    kind = model.get("type", "BPE") if isinstance(model, dict) else "?"
    if kind == "Unigram":
        return Unigram(content)
    if kind == "BPE" and isinstance(model, dict) and not model.get("continuing_subword_prefix"):
        if model.get("byte_fallback"):
            return SentenceBpe(content)
        if "ByteLevel" in repr(content.get("pre_tokenizer")):
            return ByteLevel(content)
    raise TokenizerKindUnknown(path=str(path), kind=kind)
