"""A share of conversations goes to another version or model, to see how that does before all go there.

A conversation stays where it was first: by the header `x-penjing-conversation`, else the body's `user`, else its key
and first message. A canary that fails before its first byte is replaced by the stable arm, and counted.

Does not know: which of the two is better; `/metrics` tells.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Annotated

from msgspec import Meta

from penjing.errors import InputError, PenjingError
from penjing.gateway.ask import Ask, Call, Outcome
from penjing.gateway.dialects.openai import wire
from penjing.gateway.house import House, MustStay
from penjing.gateway.metrics import Counter, Histogram
from penjing.gateway.observe import TTFT_BOUNDS
from penjing.gateway.policies.policy import Step
from penjing.gateway.routing.begin import begun
from penjing.messages import Event

HEADER = "x-penjing-arm"
CONVERSATION = b"x-penjing-conversation"
STABLE, CANARY = "stable", "canary"
WHOLE = 1 << 64


@dataclass(frozen=True)
class CanaryOptions:
    """`share` (0 to 1) of the conversations with the model `of` go to the engine `to`. Without `of`, those that name no
    model, or the first one. `seconds`: how long the canary may take to begin before the stable arm answers (0: for
    ever)."""

    to: str = ""
    of: str = ""
    share: Annotated[float, Meta(ge=0, le=1)] = 0.0
    seconds: Annotated[float, Meta(ge=0)] = 0.0


class NoSuchCanary(InputError):
    """Facts: `name`, `known`."""

    template = "The canary '{name}' is no engine here."
    hint = "Engines here: {known}"
    code = "unknown_engine"


class Canary:
    """The policy. `options` may be replaced while it runs."""

    takes = CanaryOptions

    def __init__(self, options: CanaryOptions, house: House) -> None:
        self._house = house
        self.options = checked(options, house)
        self._requests = Counter("penjing_canary_requests_total", "Requests by arm and status.", ("arm", "status"))
        self._tokens = Counter("penjing_canary_tokens_total", "Tokens by arm.", ("arm", "kind"))
        self._replaced = Counter("penjing_canary_replaced_total", "Canaries that failed, by error.", ("code",))
        self._ttft = Histogram(
            "penjing_canary_time_to_first_token_seconds", "To the first token, by arm.", ("arm",), TTFT_BOUNDS
        )
        self._seconds = Histogram("penjing_canary_request_seconds", "Whole requests, by arm.", ("arm",), TTFT_BOUNDS)
        house.observed.add(self._requests, self._tokens, self._replaced, self._ttft, self._seconds)

    def reload(self, options: CanaryOptions) -> None:
        """Another share from now on, also 0. Raises NoSuchCanary."""
        self.options = checked(options, self._house)

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        options = self.options
        first = next(iter(self._house.engines), "")
        if not options.to or (ask.model or first) != (options.of or first):
            return await call_next(ask)
        may = self._house.engines[options.to].local or not (ask.local_only or self._house.local_only)
        if not (may and drawn(ask) < options.share):
            return await self._stable(ask, call_next)
        back, target = ask.mark(), ask.target
        ask.target = options.to
        ask.note(HEADER, CANARY)
        try:
            events = await begun(ask, call_next, options.seconds)
        except PenjingError as error:
            if not (error.status >= 500 or error.status == 429 or isinstance(error, MustStay)):
                # the request's own fault: the other arm would say the same
                ask.at_end(partial(self._count, CANARY))
                raise
            self._replaced.add(error.code)
            back()
            ask.target = target
            ask.note(HEADER, f"{STABLE}; {CANARY}={error.code}")
            ask.at_end(partial(self._count, STABLE))
            return await call_next(ask)
        ask.at_end(partial(self._count, CANARY))
        return events

    async def _stable(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        ask.note(HEADER, STABLE)
        ask.at_end(partial(self._count, STABLE))
        return await call_next(ask)

    def _count(self, arm: str, outcome: Outcome) -> None:
        self._requests.add(arm, outcome.code or str(outcome.status))
        self._seconds.observe((arm,), outcome.seconds)
        if outcome.ttft:
            self._ttft.observe((arm,), outcome.ttft)
        if outcome.usage is not None:
            self._tokens.add(arm, "prompt", by=outcome.usage.prompt_tokens)
            self._tokens.add(arm, "completion", by=outcome.usage.completion_tokens)


def drawn(ask: Ask) -> float:
    """The lot of a conversation: always the same number in [0, 1), evenly spread over conversations."""
    digest = sha256("\0".join((ask.key.name, *_conversation(ask))).encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:8], "big") / WHOLE


def _conversation(ask: Ask) -> tuple[str, str]:
    """What kind of name a conversation has, and the name."""
    given = ask.header(CONVERSATION)
    if given:
        return "conversation", given
    body = ask.wire
    user = getattr(body, "user", None)
    if user:
        return "user", user
    if isinstance(body, wire.ChatBody):
        first = next((message for message in body.messages if message.role == "user"), body.messages[0])
        return "first", repr(first.content)
    return "first", repr(body.prompt if isinstance(body, wire.CompletionBody) else body.texts)


def checked(options: CanaryOptions, house: House) -> CanaryOptions:
    """Raises NoSuchCanary."""
    if options.to and options.to not in house.engines:
        raise NoSuchCanary(name=options.to, known=", ".join(house.engines))
    return options


def build(options: CanaryOptions, house: House) -> Canary | None:
    """The policy; None where there is no other arm."""
    return Canary(options, house) if options.to else None


STEP = Step("canary", CanaryOptions, build)
