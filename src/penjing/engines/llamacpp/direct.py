"""A model computed in this process with the settings of a worker, call by call: for whoever measures its insides.

Does not know: what is measured, HTTP, the library (`penjing.native`). Serving is the worker's (`worker`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penjing.engines.llamacpp.scheduler import loading
from penjing.engines.llamacpp.settings import Settings
from penjing.errors import EngineStartFailed
from penjing.native import context
from penjing.native.batch import Batch
from penjing.native.faults import LoadFailed
from penjing.native.model import Model
from penjing.native.sampler import Sampler, Sampling


class Loaded:
    """The weights of `settings.model`, once for all contexts, with its LoRA adapters. Raises LibraryMissing,
    LayoutUnknown, EngineStartFailed; use as a context manager. Where `gpu_layers` is 0 no GPU is touched, as in the
    worker."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        try:
            self.model = Model(settings.model, mmap=settings.mmap, gpu_layers=settings.gpu_layers)
            self.adapters = [(self.model.adapter(path), weight) for path, weight in settings.lora]
        except LoadFailed as error:
            raise EngineStartFailed(model=settings.name, detail=error.facts["detail"]) from error

    def __enter__(self) -> Loaded:
        return self

    def __exit__(self, *_: object) -> None:
        self.model.close()

    @property
    def generates(self) -> bool:
        """Whether it is a decoder without an encoder before it."""
        return self.model.generates

    def tokens(self, text: str) -> list[int]:
        """`text` in tokens, with those that the model wants at the beginning."""
        return self.model.tokenize(text)


def context_of(loaded: Loaded, tokens: int, sequences: int = 1, **others: Any) -> context.Context:
    """A context for so many `tokens`, made as the worker makes its own; `others` go to `native.context.Context`."""
    made = loading.context_of(loaded.model, loaded.settings, tokens, sequences, **others)
    if loaded.adapters:
        made.adapt(loaded.adapters)
    return made


class Context:
    """A conversation of at most `length` tokens with a `Loaded` model, computed as the worker computes it. `callback`
    is asked about each operation (`native.context.Callback`). Raises LoadFailed; use as a context manager."""

    def __init__(self, loaded: Loaded, length: int, callback: Any = None) -> None:
        self._context = context_of(loaded, length, callback=callback)
        self._sampler = Sampler(loaded.model, Sampling(seed=1))
        self._batch, self._length = Batch(self._context.batch_size), 0

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        self._sampler.close()
        self._context.close()

    def clear(self) -> None:
        """Forget the conversation."""
        self._context.memory.clear()
        self._length = 0

    def decode(self, tokens: Sequence[int]) -> None:
        """Compute `tokens`, at most a micro-batch of them, and wait for the result. Raises DecodeFailed."""
        self._batch.clear()
        self._batch.extend(tokens, self._length)
        self._batch.wanted[len(tokens) - 1] = True
        self._context.decode(self._batch)
        self._length += len(tokens)

    def sample(self) -> int:
        """The next token."""
        return self._sampler.choose(self._context.logits()[-1])
