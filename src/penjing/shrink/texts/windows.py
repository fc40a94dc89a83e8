"""Texts become windows of tokens, as a model reads them: `[n, context]`, int32.

Documents follow each other, each in the words of the model (the chat template around conversations), and are cut into
windows, as llama.cpp's tools do; where the model wants its first token (BOS), each window begins with it. Beside them
stands which tokens a model would write itself: all of prose, and of conversations the answers with what ends them.

Does not know: who computes what with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from penjing.shrink.texts.faults import TextTooShort, WrongLanguage
from penjing.shrink.texts.template import render
from penjing.shrink.texts.text import Document, Text

CONTEXT = 512
"""Tokens of a window where nobody wants another length (what llama.cpp's perplexity tool takes)."""
SPELT = 1.35
"""Bytes a token below which a text is spelt rather than read; 3 to 4.5 are usual in a language that a model knows."""
LEAST_VOCABULARY = 1024
"""A model with fewer tokens spells every language."""
SAMPLE = 24


class Tokenizer(Protocol):
    """How a model reads. `template` is its chat template (Jinja, "" where it has none), `bos` the token that a text
    begins with (None where it wants none), `bos_text` and `eos_text` what templates write for them."""

    template: str
    bos: int | None
    bos_text: str
    eos_text: str
    vocabulary: int

    def tokenize(self, text: str, *, special: bool) -> Sequence[int]:
        """The tokens of `text`, nothing put before it. `special`: names of control tokens in it (`<|im_end|>`) are
        those tokens; in prose they are only words."""


@dataclass(frozen=True)
class Windows:
    """`tokens` [n, context] int32 of the text called `name`, with its digest; `written` [n, context] bool: what a model
    writes itself (see above), which is what it is judged by."""

    name: str
    digest: str
    tokens: NDArray[np.int32]
    written: NDArray[np.bool_]


def windows(
    text: Text, tokenizer: Tokenizer, *, context: int = CONTEXT, most: int | None = None, least: int = 1
) -> Windows:
    """The first `most` windows of `text` (all where None). What is left at the end and fills no window is not used.

    Raises TextTooShort where there are fewer than `least`, WrongLanguage where the tokenizer can only spell the text.
    """
    room = context - (tokenizer.bos is not None)
    wanted = None if most is None else most * room
    require_known(text, tokenizer)
    stream, written = _stream(text.documents, tokenizer, wanted)
    count = len(stream) // room
    if count < max(least, 1):
        needed, shorter = max(least, 1) * room, max(len(stream) // max(least, 1), 16)
        raise TextTooShort(name=text.name, tokens=len(stream), needed=needed, context=context, shorter=shorter)
    cut, mask = (each[: count * room].reshape(count, room) for each in (stream, written))
    if tokenizer.bos is not None:
        cut = np.concatenate([np.full((count, 1), tokenizer.bos, np.int32), cut], axis=1)
        mask = np.concatenate([np.zeros((count, 1), np.bool_), mask], axis=1)
    return Windows(text.name, text.digest, np.ascontiguousarray(cut), np.ascontiguousarray(mask))


def _stream(
    documents: Iterable[Document], tokenizer: Tokenizer, most: int | None
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """The tokens of the documents one after another, at most `most`, and which of them a model would write."""
    found: list[int] = []
    written: list[bool] = []
    for document in documents:
        tokens = list(tokenizer.tokenize(spoken(document, tokenizer), special=not document.prose))
        found += tokens
        written += [True] * len(tokens) if document.prose else _answers(document, tokenizer, tokens)
        if most is not None and len(found) >= most:
            break
    return np.array(found[:most], np.int32), np.array(written[:most], np.bool_)


def _answers(document: Document, tokenizer: Tokenizer, tokens: Sequence[int]) -> list[bool]:
    """Which of the tokens of a conversation are an answer, or the one after it (which ends it): found by the answers'
    words, which takes nothing of a tokenizer but its tokens. What is trained on a person's own examples is found by
    what the template asks instead (`finetune.turns`), which takes a tokenizer that tells where in the text they are."""
    whole, at = spoken(document, tokenizer), 0
    found = [False] * len(tokens)
    for turn in document.turns:
        content = turn.content.strip()
        begin = whole.find(content, at)
        if begin < 0 or not content:  # a template that writes it in other words: nothing to point at
            continue
        at = begin + len(content)
        if turn.role == "assistant":
            first, last = (_same(tokens, tokenizer.tokenize(whole[:end], special=True)) for end in (begin, at))
            found[first : last + 1] = [True] * (min(last + 1, len(tokens)) - first)
    return found


def _same(tokens: Sequence[int], others: Sequence[int]) -> int:
    """How many at their beginning are the same."""
    return next((at for at, (one, other) in enumerate(zip(tokens, others, strict=False)) if one != other), len(others))


def spoken(document: Document, tokenizer: Tokenizer) -> str:
    """The document as the model reads it. A conversation for a model without a chat template is its turns alone."""
    if document.prose:
        return document.prose + "\n\n"
    if not tokenizer.template:
        return "\n".join(turn.content for turn in document.turns) + "\n\n"
    return render(tokenizer.template, document.turns, bos=tokenizer.bos_text, eos=tokenizer.eos_text)


def require_known(text: Text, tokenizer: Tokenizer) -> None:
    """Raises WrongLanguage where most of a text's documents can only be spelt byte by byte."""
    if tokenizer.vocabulary < LEAST_VOCABULARY:
        return
    looked = [
        (each.plain, _rate(each.plain, tokenizer)) for each in text.documents[:: max(1, len(text.documents) // 32)]
    ]
    spelt = [(plain, rate) for plain, rate in looked if rate < SPELT]
    if len(spelt) * 2 > len(looked):
        plain, rate = spelt[0]
        raise WrongLanguage(name=text.name, rate=rate, sample=" ".join(plain.split())[:SAMPLE])


def _rate(plain: str, tokenizer: Tokenizer) -> float:
    plain = plain[:2000]
    return len(plain.encode(errors="replace")) / max(len(tokenizer.tokenize(plain, special=False)), 1)
