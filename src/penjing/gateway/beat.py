"""The beat at which fast streams are read: one timer for all of them, in place of a wake-up for each token.

A person cannot see what comes within 8 ms; the processor that reads, passes on and draws each token by itself is taken
from the engine that writes the next one. How long a stream may rest grows with its age, so that the last tokens of a
short answer do not come late.

Does not know: what is read.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

BEATS = (0.004, 0.008)
"""Seconds between two readings."""
AGE = 16
"""A stream has lasted so many times a beat before it is read at it; at the first one it may begin."""
BUSY = 0.7
"""Tokens that come no faster than one in this share of a beat are read as they come."""


def beat(age: float, interval: float) -> float:
    """The beat for a stream that has lasted `age` seconds, its tokens `interval` apart; 0 for none.

    >>> beat(1.0, 0.001), beat(0.0, 0.001), beat(1.0, 0.02)
    (0.008, 0.004, 0.0)
    """
    for seconds in reversed(BEATS):
        if interval > seconds * BUSY:
            return 0.0
        if age >= seconds * AGE:
            return seconds
    return BEATS[0]


class Beaten(Protocol):
    """Whatever is read at a beat."""

    def pull(self) -> None:
        """Read what came since the last beat."""


class Beat:
    """Calls `pull` of its members every `seconds` as long as there are any."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._members: dict[Beaten, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, member: Beaten) -> None:
        """From the next beat on."""
        self._members[member] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._strike)

    def drop(self, member: Beaten) -> None:
        """No more."""
        self._members.pop(member, None)

    def _strike(self) -> None:
        self._timer = None
        for member in tuple(self._members):
            member.pull()
        if self._members and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._strike)


class Beats:
    """One `Beat` for each of BEATS."""

    def __init__(self) -> None:
        self._beats = {seconds: Beat(seconds) for seconds in BEATS}

    def move(self, member: Beaten, before: float, after: float) -> None:
        """`member` was read every `before` seconds and is to be every `after`; 0 for not at all."""
        if before:
            self._beats[before].drop(member)
        if after:
            self._beats[after].add(member)
