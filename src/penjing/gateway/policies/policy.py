"""The seam of policies.

A policy is one async middleware. It may answer itself, refuse by raising a PenjingError, change what it hands on, call
`call_next` again elsewhere when that failed, or wrap the events that come back. One that only looks at the request
returns the events as they are: then an engine's bytes go to the client without passing through it. To look at what was
answered without slowing it, use `ask.taps` and `ask.at_end`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from penjing.gateway.ask import Ask, Call
from penjing.gateway.house import House
from penjing.messages import Event

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Policy(Protocol):
    """`call_next(ask)` goes on; what it returns is the answer's events. One whose options may change while it runs has
    the attribute `takes`, their class, and the method `reload(options)`; one that keeps something has `close()`."""

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]: ...


@dataclass(frozen=True)
class Step:
    """How a policy is registered. `name` is also its table in the settings, `options` the frozen dataclass of that
    table. `build(options, house)` makes it; None where these options switch it off, which then costs nothing."""

    name: str
    options: type[DataclassInstance]
    build: Callable[[Any, House], Policy | None]


def chain(steps: Iterable[Policy], engine: Call) -> Call:
    """One call that goes through all `steps` and ends at `engine`."""
    call = engine
    for step in reversed(tuple(steps)):
        call = partial(step, call_next=call)
    return call
