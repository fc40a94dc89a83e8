"""Texts to vectors: a context of its own beside the one that answers, computed between its steps.

Source: llama.cpp tools/server/server-context.cpp (what is done with embeddings), common/common.cpp
`common_embd_normalize`.

Does not know: HTTP, who asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from penjing.errors import ContextOverflow, InvalidRequest
from penjing.native.batch import Batch
from penjing.native.context import Context
from penjing.native.model import Model

TOGETHER = 16
"""Texts that are computed at once at most."""


class Embedder:
    """Vectors by `context`, which was made for embeddings and pools them; each text must fit one batch. `rank`: what
    comes is how well a document answers a query, one number."""

    def __init__(self, context: Context, *, rank: bool = False) -> None:
        self.context, self.rank = context, rank
        self._batch = Batch(context.batch_size)

    @property
    def longest(self) -> int:
        """Tokens of a text at most."""
        return min(self.context.ubatch_size, self.context.batch_size)

    def groups(self, texts: Sequence[list[int]]) -> Iterator[list[list[int]]]:
        """`texts` in their order, in groups for `embed`. Raises ContextOverflow, InvalidRequest."""
        group: list[list[int]] = []
        for text in texts:
            self.check(text)
            full = sum(map(len, group)) + len(text) > self.longest
            if group and (full or len(group) == min(TOGETHER, self.context.sequences)):
                yield group
                group = []
            group.append(text)
        if group:
            yield group

    def check(self, text: list[int]) -> None:
        """Raises ContextOverflow, InvalidRequest, WrongUse for what cannot be computed."""
        if not text:
            raise InvalidRequest(detail="input: it is empty.")
        if len(text) > self.longest:
            raise ContextOverflow(tokens=len(text), context=self.longest)
        for token in text:
            self.context.model.check(token)

    def embed(self, group: Sequence[list[int]]) -> NDArray[np.float32]:
        """f32 [texts, width], each of length 1; f32 [texts, 1] of scores as they are. Raises DecodeFailed."""
        batch = self._batch
        batch.clear()
        for sequence, text in enumerate(group):
            batch.extend(text, 0, sequence, wanted=True)
        if self.context.remembers:
            self.context.memory.clear()
        self.context.decode(batch)
        width = 1 if self.rank else None
        found = np.stack([self.context.pooled(sequence, width).copy() for sequence in range(len(group))])
        return found if self.rank else unit(found)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """`vectors` f32 [n, width] with length 1; zeros stay."""
    lengths = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def pair(model: Model, query: str, document: str) -> list[int]:
    """Both as models that rank read them: by their own template, else with the marks that their vocabulary wants
    (server-common.cpp, `format_prompt_rerank`)."""
    form = model.chat_template("rerank")
    if form is not None:
        text = form.replace("{query}", query).replace("{document}", document)
        return model.tokenize(text, special=True, begin=False)
    marks = {name: model.special(name) for name in ("bos", "eos", "sep")}
    end = marks["eos"] if marks["eos"] is not None else marks["sep"]
    ends = [end] if model.adds("eos") and end is not None else []
    starts = [marks["bos"]] if model.adds("bos") and marks["bos"] is not None else []
    between = [marks["sep"]] if model.adds("sep") and marks["sep"] is not None else []
    ask, told = (model.tokenize(text, begin=False) for text in (query, document))
    return [*starts, *ask, *ends, *between, *told, *ends]
