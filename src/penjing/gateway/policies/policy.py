"""The seam of policies and their order.

A policy is one async middleware. It may answer itself, refuse by raising a PenjingError, change what it hands on,
or wrap the events that come back. One that only looks at the request returns the events as they are: then an
engine's bytes go to the client without passing through it.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from functools import partial
from typing import Protocol

from penjing.gateway.ask import Ask, Call
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies.keys import Keys
from penjing.messages import Event


class Policy(Protocol):
    """`call_next(ask)` goes on; what it returns is the answer's events."""

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]: ...


def policies(options: GatewayOptions) -> tuple[Policy, ...]:
    """The policies in the order in which a request meets them."""
    return (Keys(options.api_keys),)


def chain(steps: Iterable[Policy], engine: Call) -> Call:
    """One call that goes through all `steps` and ends at `engine`."""
    call = engine
    for step in reversed(tuple(steps)):
        call = partial(step, call_next=call)
    return call
