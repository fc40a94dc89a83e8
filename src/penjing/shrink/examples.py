"""Texts become examples for a torch model: windows of a checkpoint's own tokens, of which that is learned which a model
would write itself.

Does not know: where texts come from, how examples are packed and learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from penjing.shrink.packing import Example
from penjing.shrink.texts.text import Text
from penjing.shrink.texts.windows import CONTEXT, windows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Reader:
    """A checkpoint's tokenizer as texts are read with (`texts.windows.Tokenizer`)."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        template = tokenizer.chat_template
        self.template: str = (template.get("default") if isinstance(template, dict) else template) or ""
        first: list[int] = tokenizer("a")["input_ids"][:1]
        self.bos: int | None = first[0] if first and first[0] == tokenizer.bos_token_id else None
        self.bos_text: str = tokenizer.bos_token or ""
        self.eos_text: str = tokenizer.eos_token or ""
        self.vocabulary: int = len(tokenizer)

    def tokenize(self, text: str, *, special: bool) -> Sequence[int]:
        found: list[int] = self.tokenizer.encode(
            text, add_special_tokens=False, split_special_tokens=not special, verbose=False
        )
        return found


def examples(
    texts: Sequence[Text], tokenizer: PreTrainedTokenizerBase, *, context: int = CONTEXT, most: int | None = None
) -> list[Example]:
    """Windows of `context` tokens of all `texts`, taken from one after the other in turns, at most `most`. Raises
    TextTooShort, WrongLanguage, TemplateRefuses."""
    reader = Reader(tokenizer)
    share = None if most is None else -(-most // len(texts))
    found = [windows(text, reader, context=context, most=share) for text in texts]
    length = max(len(each.tokens) for each in found)
    return [
        Example(each.tokens[at].astype(np.int64), each.written[at])
        for at in range(length)
        for each in found
        if at < len(each.tokens) and each.written[at][1:].any()
    ][:most]
