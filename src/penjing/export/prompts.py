"""The texts that a check reads, in the model's own tokens: the built-in held-out pages, English and Chinese.

Does not know: what is compared.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.errors import ModelCorrupt
from penjing.export.check import Prompt
from penjing.probe.faults import COPY_AGAIN
from penjing.shrink.texts.known import HELD_OUT, LANGUAGES, builtin

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LENGTH = 64
"""Tokens of a prompt at most."""
EACH = 2
"""Prompts in each language."""
CHARACTERS = 600

Encode = Callable[[str], list[int]]


class TokenizerUnreadable(ModelCorrupt):
    """Facts: `path`, `detail`."""

    template = "The tokenizer {path} cannot be read: {detail}"
    hint = COPY_AGAIN


def prompts(encode: Encode, length: int = LENGTH) -> list[Prompt]:
    """EACH for every language, of at most `length` tokens."""
    found = []
    for language, text in zip(LANGUAGES, builtin(HELD_OUT), strict=True):
        documents = [document.plain for document in text.documents if len(document.plain) > LENGTH][:EACH]
        found += [Prompt(language, tuple(encode(document[:CHARACTERS])[:length])) for document in documents]
    return [prompt for prompt in found if prompt.ids]


def encoder(folder: Path) -> Encode:
    """The tokenizer of a checkpoint: tokenizer.json as it is, older forms as transformers reads them. Raises
    TokenizerUnreadable, ShrinkExtraMissing, LoadFailed."""
    path = folder / "tokenizer.json"
    if path.is_file():
        made = fast(path)
        return lambda text: [int(token) for token in made.encode(text).ids]
    from penjing.shrink.torch_model import tokenizer

    slow = tokenizer(folder)
    return lambda text: [int(token) for token in slow(text)["input_ids"]]


def fast(path: Path) -> Tokenizer:
    """The tokenizer.json at `path`. Raises TokenizerUnreadable, ShrinkExtraMissing."""
    from penjing.shrink.extra import require

    require("tokenizers")
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare ones
        raise TokenizerUnreadable(path=str(path), detail=str(error).splitlines()[0][:200]) from error
