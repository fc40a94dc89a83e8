"""Chunks from the nearest place that has them, then from the next: mirrors need not be trusted, only tried.

Each chunk is looked at as it comes. A place that gives other bytes, or none, is left for the rest of this fetch; what
it gave before stays.

Does not know: what the chunks are of.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack

from penjing.errors import PenjingError
from penjing.sources.faults import NetworkError
from penjing.sources.patience import Patience
from penjing.store.chunks import sha256
from penjing.store.faults import ForgedChunk, NotABundle
from penjing.store.fetch import Place, Web
from penjing.store.index import Chunk

QUICK = Patience(attempts=2, first=0.2, longest=5.0, connect=3.0, silence=10.0)
"""For a mirror, since there is the hub."""
FAILS = (ForgedChunk, NotABundle, NetworkError)
Hear = Callable[[PenjingError], None]


class Mirrors:
    """`delta.Fetch` over `mirrors`, in their order, then the hub `last`. `hear` is told why a mirror was left. `moved`
    counts bytes of chunks that came and were right. A context manager."""

    def __init__(self, mirrors: Sequence[str], last: Place, model: str, hear: Hear) -> None:
        self._places: list[Place] = [*(Web(url, patience=QUICK) for url in mirrors), last]
        self._model, self._hear = model, hear
        self._left: set[str] = set()
        self.moved = 0

    def __enter__(self) -> Mirrors:
        with ExitStack() as stack:
            for place in self._places:
                stack.enter_context(place)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __str__(self) -> str:
        return str(self._places[-1])

    def __call__(self, chunks: Sequence[Chunk]) -> Iterator[bytes]:
        left = list(chunks)
        for place in self._places[:-1]:
            if str(place) in self._left:
                continue
            fault = yield from self._from(place, left)
            if fault is None:
                return
            self._left.add(str(place))
            self._hear(fault)
        fault = yield from self._from(self._places[-1], left)
        if fault is not None:
            raise fault

    def _from(self, place: Place, left: list[Chunk]) -> Generator[bytes, None, PenjingError | None]:
        """Yield what `place` has and take it out of `left`; returns why it ended early."""
        if not left:
            return None
        try:
            for content in place(tuple(left)):
                if sha256(memoryview(content)) != left[0].digest:
                    return ForgedChunk(source=str(place), chunk=left[0].name, model=self._model)
                self.moved += len(content)
                yield content
                left.pop(0)
        except FAILS as error:
            return error
        return None
