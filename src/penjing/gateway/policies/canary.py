"""A share of conversations goes to another version or model, to see how that does before all go there.

A conversation stays where it was first: by the header `x-penjing-conversation`, else the body's `user`, else its key
and first message. A canary that fails before its first byte is replaced by the stable arm, and counted.

The settings say one split; `house.arms` holds all, and whoever judges a canary changes them there and hears of every
answer.

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
from penjing.gateway.arms import CANARY, STABLE, Sample, Split
from penjing.gateway.ask import Ask, Call, Outcome
from penjing.gateway.dialects.openai import wire
from penjing.gateway.house import House, MustStay
from penjing.gateway.metrics import Counter, Histogram
from penjing.gateway.observe import TTFT_BOUNDS
from penjing.gateway.policies.policy import Step
from penjing.gateway.refusing import Refusing
from penjing.gateway.routing.begin import begun
from penjing.messages import Event

HEADER = "x-penjing-arm"
CONVERSATION = b"x-penjing-conversation"
WHOLE = 1 << 64
LEAST_TOKENS = 8
"""An answer of fewer tells nothing about how fast tokens come."""


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
    """The policy. Its splits may be replaced while it runs."""

    takes = CanaryOptions

    def __init__(self, options: CanaryOptions, house: House) -> None:
        self._house = house
        self._set = ""
        """The model whose split the settings say."""
        self.reload(options)
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
        options = checked(options, self._house)
        splits = self._house.arms.splits
        if self._set:
            splits.pop(self._set, None)
        self._set = (options.of or next(iter(self._house.engines), "")) if options.to else ""
        if self._set:
            splits[self._set] = Split(options.to, options.share, options.seconds)

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        house = self._house
        model = ask.model or next(iter(house.engines), "")
        split = house.arms.splits.get(model)
        if split is None or split.to not in house.engines:
            return await call_next(ask)
        lot = drawn(ask)
        tell = partial(self._count, model, lot, split.judged)
        if split.judged:
            tell = partial(tell, refusing := Refusing())
            ask.taps.append(refusing)
        else:
            tell = partial(tell, None)
        may = house.engines[split.to].local or not (ask.local_only or house.local_only)
        if not (may and lot < split.share):
            ask.note(HEADER, STABLE)
            ask.at_end(partial(tell, STABLE))
            return await call_next(ask)
        back, target = ask.mark(), ask.target
        ask.target = split.to
        ask.note(HEADER, CANARY)
        try:
            events = await begun(ask, call_next, split.seconds)
        except PenjingError as error:
            if not (error.status >= 500 or error.status == 429 or isinstance(error, MustStay)):
                # the request's own fault: the other arm would say the same
                ask.at_end(partial(tell, CANARY))
                raise
            self._replaced.add(error.code)
            if split.judged and error.status != 429:
                house.arms.tell(Sample(model, CANARY, lot, failed=True))
            back()
            ask.target = target
            ask.note(HEADER, f"{STABLE}; {CANARY}={error.code}")
            ask.at_end(partial(self._count, model, lot, False, None, STABLE))
            return await call_next(ask)
        ask.at_end(partial(tell, CANARY))
        return events

    def _count(
        self, model: str, lot: float, judged: bool, refusing: Refusing | None, arm: str, outcome: Outcome
    ) -> None:
        self._requests.add(arm, outcome.code or str(outcome.status))
        self._seconds.observe((arm,), outcome.seconds)
        if outcome.ttft:
            self._ttft.observe((arm,), outcome.ttft)
        if outcome.usage is not None:
            self._tokens.add(arm, "prompt", by=outcome.usage.prompt_tokens)
            self._tokens.add(arm, "completion", by=outcome.usage.completion_tokens)
        if judged and refusing is not None:
            self._house.arms.tell(sample(model, arm, lot, outcome, refused=refusing.refused))


def sample(model: str, arm: str, lot: float, outcome: Outcome, *, refused: bool) -> Sample:
    """What an answer tells of its arm. A client that left, or asked what cannot be, tells nothing bad."""
    failed = outcome.status >= 500 or (outcome.status == 200 and bool(outcome.code))
    if outcome.status != 200 or failed or outcome.cached:
        return Sample(model, arm, lot, failed=failed)
    tokens = outcome.usage.completion_tokens if outcome.usage is not None else 0
    seconds = outcome.seconds - outcome.ttft
    rate = tokens / seconds if tokens >= LEAST_TOKENS and seconds > 0 else None
    return Sample(model, arm, lot, refused=refused, ttft=outcome.ttft or None, rate=rate)


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
    """The policy; None where there is no other arm, and none can come."""
    return Canary(options, house) if options.to or house.options.released else None


STEP = Step("canary", CanaryOptions, build)
