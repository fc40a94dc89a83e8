"""Who may ask, what, and how much: API keys. The gateway is open while there are none.

Keys come as `Authorization: Bearer KEY` (OpenAI's clients, Ollama's), `x-api-key: KEY` (Anthropic's) or `api-key: KEY`
(Azure's). Those of `penjing serve --api-key` may everything; they are compared as SHA-256 digests in constant time, all
of them each time, so that neither a key's beginning nor its place in the list shows in the time an answer takes. Those
of `penjing keys` are looked up by digest (`keyring/live.py` says why that shows nothing) and have limits of their own.

Does not know: files (`keyring`), how limits count (`limits`).
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from functools import partial
from math import ceil

from penjing.errors import AccessError
from penjing.files import home
from penjing.gateway.ask import Ask, Call, Outcome
from penjing.gateway.grant import OPEN, Grant
from penjing.gateway.house import House
from penjing.gateway.keyring.book import FILE
from penjing.gateway.keyring.key import Key, digest
from penjing.gateway.keyring.ledger import FLUSH_SECONDS, Ledger, Used
from penjing.gateway.keyring.live import Live
from penjing.gateway.limits.estimate import Estimate, estimate
from penjing.gateway.limits.meter import NO_TOKENS, Meter, Taken
from penjing.gateway.limits.refusals import BudgetSpent, Limited, ModelRefused
from penjing.gateway.metrics import Counter
from penjing.gateway.policies.policy import Step
from penjing.gateway.reply import Incoming
from penjing.messages import Event, Usage

BEARER = b"bearer "
OTHERS = (b"x-api-key", b"api-key")
RETRY, RETRY_AFTER = "x-should-retry", "retry-after-ms"
"""What OpenAI's and Anthropic's SDKs heed besides Retry-After, which is in whole seconds."""
CLIENT_LEFT = 499


@dataclass(frozen=True)
class KeysOptions:
    """Nothing to set: keys are made with `penjing keys add`, or given to `penjing serve`."""


class Keys:
    """The first policy that can refuse. `clock` is monotonic, in seconds. Raises KeysFileInvalid, UsageFileInvalid."""

    def __init__(self, house: House, clock: Callable[[], float] = time.monotonic) -> None:
        self._house = house
        self._clock = clock
        self._given = tuple(digest(key.encode()) for key in house.options.api_keys)
        self._live = Live(home() / FILE, clock)
        self._ledger = Ledger()
        self._meters: dict[str, tuple[Key, Meter]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._refused = Counter("penjing_key_refused_total", "Requests a key was refused.", ("key", "code"))
        house.observed.add(self._refused)
        house.admit = self.admit
        house.spent = lambda name: self._ledger.used(name).cost

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        ask.key = grant = self.admit(ask.incoming)
        if grant.name:
            try:
                self._begin(ask, grant)
            except (Limited, ModelRefused) as error:
                self._refused.add(grant.name, error.code)
                raise
        return await call_next(ask)

    def admit(self, incoming: Incoming) -> Grant:
        """The rights of the request's key; one given to `penjing serve` is named by the start of its digest.
        Raises AccessError."""
        kept = bool(self._live)
        if not (self._given or kept):
            return OPEN
        error: AccessError | None = None
        for secret in _carried(incoming):
            found = digest(secret)
            matches = [hmac.compare_digest(found, known) for known in self._given]
            if any(matches):
                return Grant(name=found.hex()[:8])
            try:
                return self._meter(self._live.find(found)).grant
            except AccessError as why:
                error = why
        raise error or AccessError()

    def _begin(self, ask: Ask, grant: Grant) -> None:
        """Take what the request may need from the limits of its key. Raises Limited, ModelRefused, InvalidRequest."""
        if grant.models:
            self._choose(ask, grant)
        _, meter = self._meters.get(grant.name, NO_METER)
        if meter is None:
            ask.at_end(partial(self._end, ask, None, NO_TOKENS, NOTHING))
            return
        wanted, cost, now = NO_TOKENS, 0.0, self._clock()
        if meter.counts_tokens:
            wanted = estimate(ask.wire)
            cost = self._dearest(Usage(*wanted))
        try:
            taken = meter.begin(now, wanted, cost)
        except Limited as error:
            if isinstance(error, BudgetSpent):
                ask.note(RETRY, "false")
            elif isinstance(exact := error.facts.get("exact"), float):
                ask.note(RETRY_AFTER, str(ceil(exact * 1000)))
            raise
        finally:
            ask.notes.update(meter.headers(now))  # figures: nothing in them that `note` would have to keep out
        ask.at_end(partial(self._end, ask, meter, wanted, taken))

    def _choose(self, ask: Ask, grant: Grant) -> None:
        """See that the key may ask the model; where none is named, the first that it may."""
        model = ask.model or next(filter(grant.allows, self._house.engines), "")
        if not grant.allows(model):
            raise ModelRefused(key=grant.name, model=model, models=", ".join(grant.models), param="model")
        if model != (ask.model or next(iter(self._house.engines))):
            ask.target = model

    def _end(self, ask: Ask, meter: Meter | None, wanted: Estimate, taken: Taken, outcome: Outcome) -> None:
        used = _counted(ask, wanted, outcome)
        if meter is not None:
            meter.end(taken, used.prompt_tokens + used.completion_tokens, outcome.seconds, self._clock())
        cost = 0.0 if outcome.cached else self._cost(outcome.model, used)
        self._ledger.add(ask.key.name, Used(1, used.prompt_tokens, used.completion_tokens, cost))
        if self._closed:
            self._ledger.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def _dearest(self, usage: Usage) -> float:
        """What `usage` costs at most: who answers is not decided yet."""
        return max((self._cost(model, usage) for model in self._house.options.prices.known), default=0.0)

    def _cost(self, model: str, usage: Usage) -> float:
        return self._house.options.prices.cost(model, usage)

    def _meter(self, key: Key) -> Meter:
        """The meter of `key`, with the rights it has now."""
        known, meter = self._meters.get(key.name, NO_METER)
        if meter is None:
            meter = Meter(key.grant, lambda: self._ledger.used(key.name).cost, self._clock())
        elif known is not key:
            meter.change(key.grant, self._clock())
        else:
            return meter
        self._meters[key.name] = key, meter
        return meter

    def _flush(self) -> None:
        """Write what keys used, in another thread: a disk may be slow."""
        self._timer = None
        asyncio.get_running_loop().run_in_executor(None, self._ledger.flush)

    def close(self) -> None:
        """Write what keys used. What still ends after this is written at once."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._ledger.flush()


NOTHING = Taken(0.0, 0.0)
NO_METER: tuple[None, None] = (None, None)


def _carried(incoming: Incoming) -> list[bytes]:
    """The keys that a request carries."""
    headers = incoming.headers
    found = [headers[name].strip() for name in OTHERS if name in headers]
    bearer = headers.get(b"authorization", b"")
    if bearer[: len(BEARER)].lower() == BEARER:
        found.insert(0, bearer[len(BEARER) :].strip())
    return found


def _counted(ask: Ask, wanted: Estimate, outcome: Outcome) -> Usage:
    """What a request used: as counted where that is known. An answer that broke off, because the engine failed or the
    client left, is not counted in full; then the prompt counts as estimated, so that leaving early is not free."""
    known = outcome.usage or Usage(0, 0)
    if known.prompt_tokens or outcome.status not in (200, CLIENT_LEFT) or not ask.parsed:
        return known
    prompt, answer = wanted if wanted.total else estimate(ask.wire)
    uncounted = outcome.usage is None and outcome.status == 200 and not outcome.code
    return Usage(prompt, answer if uncounted else known.completion_tokens)


def build(options: KeysOptions, house: House) -> Keys:
    """The policy, which also lets people in to pages."""
    return Keys(house)


STEP = Step("keys", KeysOptions, build)
