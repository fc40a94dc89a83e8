"""What of a conversation may be left out, and in which order: the oldest turn first, never half of one.

A turn is a user's message and all that follows until the next one: answers, calls of tools and what the tools said. A
call without its result (or the other way round) is refused by chat templates, so such pairs stay whole. System
messages are no part of turns and always stay, and so does the present question.

Does not know: tokens, bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from penjing.gateway.dialects.openai.wire import ChatMessage

ALWAYS = frozenset({"system", "developer"})


@dataclass(frozen=True)
class Turns:
    """Places of messages. `units` can be left out one by one from the front; `kept` always stay."""

    units: tuple[tuple[int, ...], ...]
    kept: frozenset[int]

    def without(self, count: int) -> list[int]:
        """The places that are left when the oldest `count` units are gone, in order."""
        stay = [place for unit in self.units[count:] for place in unit]
        return sorted((*self.kept, *stay))

    def first(self, count: int) -> list[int]:
        """The places of the oldest `count` units, in order."""
        return sorted(place for unit in self.units[:count] for place in unit)


def turns(messages: Sequence[ChatMessage]) -> Turns:
    """The units of `messages`: whole turns, and within the present one finished rounds of tool calls."""
    kept = {place for place, message in enumerate(messages) if message.role in ALWAYS}
    rest = [place for place in range(len(messages)) if place not in kept]
    starts = [at for at, place in enumerate(rest) if messages[place].role == "user"]
    present = starts[-1] if starts else 0
    units: list[tuple[int, ...]] = []
    bounds = sorted({0, *starts[:-1], present}) if starts else [0]
    for begin, end in pairwise(bounds):
        units.append(tuple(rest[begin:end]))
    question, rounds, last = _rounds(messages, rest[present:])
    return Turns(tuple(unit for unit in (*units, *rounds) if unit), frozenset({*kept, *question, *last}))


def _rounds(
    messages: Sequence[ChatMessage], places: Sequence[int]
) -> tuple[tuple[int, ...], list[tuple[int, ...]], tuple[int, ...]]:
    """The present turn: its question, its earlier rounds (an answer with what its tools said), its last one."""
    question = tuple(place for place in places[:1] if messages[place].role == "user")
    rounds: list[list[int]] = []
    for place in places[len(question) :]:
        if messages[place].role == "assistant" or not rounds:
            rounds.append([place])
        else:
            rounds[-1].append(place)
    last = tuple(rounds.pop()) if rounds else ()
    return question, [tuple(each) for each in rounds], last
