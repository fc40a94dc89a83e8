"""Exact-match answers: a question that was answered before gets the same answer, at once.

Only where the answer could not have been another: nothing is drawn (`temperature: 0`, `top_k: 1`), a seed is given, or
the question is pinned. What was kept for one API key is given to no other, unless `shared`. Another version of a model
never gives the answers of the one before. Off by default, since answers then lie on this machine's disk as plain text.

Does not know: which engine answers (`ask.target`), how answers are kept.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import AsyncIterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from penjing.engines.engine import Capabilities
from penjing.errors import EngineError, ModelNotFound
from penjing.files import home
from penjing.gateway.ask import Ask, Call, Outcome
from penjing.gateway.cache import replay
from penjing.gateway.cache.name import deterministic, name, replayable
from penjing.gateway.cache.store import Store
from penjing.gateway.dialects.openai import wire
from penjing.gateway.house import House
from penjing.gateway.metrics import Counter, Gauge
from penjing.gateway.policies import context, degrade
from penjing.gateway.policies.policy import Step
from penjing.messages import Event

HEADER = "x-penjing-cache"
LARGEST = 4 << 20
"""Bytes of one answer; a longer one is not kept."""
REMEMBERED = 10_000
"""Questions that are counted to find the frequent ones."""
OK = 200


@dataclass(frozen=True)
class CacheOptions:
    """What is kept, and for how long.

    `pinned`: questions (the last message, `*` stands for anything) whose answers are kept though they could be others.
    `frequent`: after so many times any question is; 0 for never. `shared`: answers are given to every API key.
    """

    enabled: bool = False
    most_bytes: Annotated[int, Meta(ge=1)] = 1 << 30
    most_seconds: Annotated[float, Meta(gt=0)] = 7 * 86400.0
    shared: bool = False
    pinned: tuple[str, ...] = ()
    frequent: Annotated[int, Meta(ge=0)] = 0
    path: Path | None = None


class Cache:
    """The policy."""

    def __init__(self, options: CacheOptions, house: House) -> None:
        self._options = options
        self._house = house
        path = options.path or home() / "cache" / "answers.sqlite"
        self._store = Store(path, options.most_bytes, options.most_seconds)
        self._asked: Counts[bytes] = Counts()
        self._looked = Counter("penjing_cache_total", "Questions that could be kept, by what was found.", ("found",))
        self._size = Gauge("penjing_cache_answers", "Answers that are kept.")
        self._size.set(to=len(self._store))
        house.observed.add(self._looked, self._size)

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        control = ask.header(b"cache-control")
        model = self._model(ask)
        if model is None or "no-store" in control or not replayable(ask.wire):
            return await call_next(ask)
        found_by = name(ask.body, ask.kind, model, "" if self._options.shared else ask.key.name)
        if not self._wanted(ask.wire, found_by):
            return await call_next(ask)
        body = None if "no-cache" in control else await self._store.get(found_by)
        if body is not None:
            self._looked.add("hit")
            ask.note(HEADER, "hit")
            ask.cached = True
            options = getattr(ask.wire, "stream_options", None)
            return replay.streamed(body, bool(options and options.include_usage)) if ask.stream else replay.whole(body)
        self._looked.add("miss")
        ask.note(HEADER, "miss")
        _Recording(ask, partial(self._keep, found_by))
        return await call_next(ask)

    def _model(self, ask: Ask) -> Capabilities | None:
        try:
            return self._house.chosen(ask.target)[1].capabilities
        except (EngineError, ModelNotFound):  # whoever asks it will say so
            return None

    def _wanted(self, body: wire.AnyBody, found_by: bytes) -> bool:
        if deterministic(body) or self._pinned(body):
            return True
        if not self._options.frequent:
            return False
        if len(self._asked) >= REMEMBERED:
            self._asked = Counts(dict(self._asked.most_common(REMEMBERED // 2)))
        self._asked[found_by] += 1
        return self._asked[found_by] >= self._options.frequent

    def _pinned(self, body: wire.AnyBody) -> bool:
        return bool(self._options.pinned) and any(
            fnmatchcase(_question(body), pattern) for pattern in self._options.pinned
        )

    def _keep(self, found_by: bytes, seen: bytes, stream: bool) -> None:
        self._store.put(found_by, partial(replay.kept, seen, stream))
        self._size.set(to=len(self._store))

    def close(self) -> None:
        """Write what is noted."""
        self._store.close()


class _Recording:
    """An answer on its way to a client, written down; kept when it arrived whole and was nobody's makeshift."""

    def __init__(self, ask: Ask, keep: partial[None]) -> None:
        self._ask = ask
        self._keep = keep
        self._seen: list[bytes] = []
        self._size = 0
        ask.taps.append(self._hear)
        ask.at_end(self._ended)

    def _hear(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= LARGEST:
            self._seen.append(data)
        else:
            self._seen.clear()

    def _ended(self, outcome: Outcome) -> None:
        makeshift = {context.HEADER, degrade.HEADER} & self._ask.notes.keys()
        if outcome.status == OK and not outcome.code and self._seen and self._size <= LARGEST and not makeshift:
            self._keep(b"".join(self._seen), self._ask.stream)


def _question(body: wire.AnyBody) -> str:
    """The text that is to be answered."""
    if isinstance(body, wire.Weighing):
        return ""
    if isinstance(body, wire.CompletionBody):
        return body.prompt if isinstance(body.prompt, str) else ""
    content = body.messages[-1].content
    return content if isinstance(content, str) else ""


def build(options: CacheOptions, house: House) -> Cache | None:
    """The policy, unless it is switched off."""
    return Cache(options, house) if options.enabled else None


STEP = Step("cache", CacheOptions, build)
