"""Answers kept so that the next question can go on from them: in memory, bounded, each key's own.

Does not know: what is in an answer (`wire` does), HTTP.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from penjing.errors import InputError
from penjing.gateway.dialects.openai.parse import decoder
from penjing.gateway.dialects.responses import wire

BYTES = 64 << 20
SECONDS = 24 * 3600.0
OVERHEAD = 512
"""Bytes that a kept answer takes beside its text, about."""


class PreviousNotFound(InputError):
    """Facts: `id`."""

    template = "Previous response with id '{id}' not found."
    hint = "Answers are kept for a while only, and only where store is not false: send the whole conversation as input."
    code = "previous_response_not_found"


class ResponseNotFound(InputError):
    """Facts: `id`."""

    template = "Response with id '{id}' not found."
    code = "response_not_found"
    status = 404


class ItemNotFound(InputError):
    """Facts: `id`."""

    template = "Item with id '{id}' not found."
    hint = "Send the item itself."
    code = "item_not_found"
    status = 404


class _Output(msgspec.Struct):
    output: list[wire.Item]


_OUTPUT = msgspec.json.Decoder(_Output)


@dataclass
class Kept:
    """One answer: its JSON as the client got it, the items its question added, as JSON, and what it went on from.
    `local`: it was made of what must not leave. `at`: when it was last asked for."""

    response: bytes
    items: tuple[bytes, ...]
    previous: str
    local: bool
    at: float

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self.response) + sum(map(len, self.items)) + OVERHEAD

    def input(self) -> list[wire.Item]:
        """What the question added."""
        return [decoder(wire.Item).decode(item) for item in self.items]

    def output(self) -> list[wire.Item]:
        """What was answered."""
        return _OUTPUT.decode(self.response).output


@dataclass
class Store:
    """At most `limit` bytes of answers, each for `seconds` since somebody last asked for it; in this order they go.

    Every name is a pair of the key that asks and the id: what one key kept, no other finds.
    """

    limit: int = BYTES
    seconds: float = SECONDS
    now: Callable[[], float] = time.monotonic
    size: int = 0
    _kept: OrderedDict[tuple[str, str], Kept] = field(default_factory=OrderedDict)

    def put(self, key: str, id: str, response: bytes, items: tuple[bytes, ...], previous: str, local: bool) -> None:
        """Keep an answer, in place of one of the same id; one that alone is larger than the limit is not kept."""
        self._sweep()
        kept = Kept(response, items, previous, local, self.now())
        if (key, id) in self._kept:
            self._drop((key, id))
        if kept.size > self.limit:
            return
        self._kept[key, id] = kept
        self.size += kept.size
        while self.size > self.limit:
            self._drop(next(iter(self._kept)))

    def get(self, key: str, id: str) -> Kept:
        """Raises ResponseNotFound."""
        self._sweep()
        kept = self._kept.get((key, id))
        if kept is None:
            raise ResponseNotFound(id=id)
        kept.at = self.now()
        self._kept.move_to_end((key, id))
        return kept

    def delete(self, key: str, id: str) -> None:
        """Raises ResponseNotFound."""
        self.get(key, id)
        self._drop((key, id))

    def history(self, key: str, id: str) -> list[wire.Item]:
        """All that was said up to and with the answer `id`. Raises PreviousNotFound."""
        chain: list[Kept] = []
        step = id
        while step:
            try:
                chain.append(self.get(key, step))
            except ResponseNotFound:
                raise PreviousNotFound(id=step, param="previous_response_id") from None
            step = chain[-1].previous
        return [item for kept in reversed(chain) for item in (*kept.input(), *kept.output())]

    def find(self, key: str, id: str) -> tuple[wire.Item, Kept]:
        """An item of any answer kept, and that answer. Raises ItemNotFound."""
        self._sweep()
        for kept in self._of(key):
            for item in (*kept.input(), *kept.output()):
                if item.id == id:
                    return item, kept
        raise ItemNotFound(id=id, param="input")

    def _sweep(self) -> None:
        """Forget what is too old."""
        latest = self.now() - self.seconds
        while self._kept and next(iter(self._kept.values())).at < latest:
            self._drop(next(iter(self._kept)))

    def _of(self, key: str) -> Iterator[Kept]:
        """What the key kept, latest first."""
        return (kept for (owner, _), kept in reversed(self._kept.items()) if owner == key)

    def _drop(self, name: tuple[str, str]) -> None:
        self.size -= self._kept.pop(name).size
