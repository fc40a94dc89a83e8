"""The limits of one key, while the server runs. What a key has spent this month is asked of the `spent` it is given.

Tokens are taken beforehand by estimate and set right when the answer is over; the same goes for money, so that many
requests at once cannot spend a budget several times. Buckets are full when a server starts.

Does not know: HTTP, files.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

from penjing.gateway.grant import Grant
from penjing.gateway.keyring.key import utc
from penjing.gateway.limits.bucket import Bucket
from penjing.gateway.limits.estimate import Estimate
from penjing.gateway.limits.refusals import (
    BudgetInUse,
    BudgetSpent,
    Limited,
    RequestsLimited,
    TokensLimited,
    TooManyAtOnce,
)

NO_TOKENS = Estimate(0, 0)
LATEST = 1 / 8
"""How much the latest request counts in the mean time that requests of a key take."""


class Taken:
    """What one request took; `Meter.end` gives back what it did not use."""

    __slots__ = ("cost", "tokens")

    def __init__(self, tokens: float, cost: float) -> None:
        self.tokens = tokens
        self.cost = cost


class Meter:
    """`spent` tells this month's spending in US dollars. Times are monotonic, in seconds."""

    def __init__(self, grant: Grant, spent: Callable[[], float], now: float) -> None:
        self.grant = grant
        self.running = 0
        self.reserved = 0.0
        """US dollars that running requests may cost."""
        self._spent = spent
        self._seconds = 0.0
        self._requests = _bucket(None, grant.requests_per_minute, now)
        self._tokens = _bucket(None, grant.tokens_per_minute, now)

    @property
    def counts_tokens(self) -> bool:
        """Whether an estimate is of use."""
        return self._tokens is not None or self.grant.monthly_budget is not None

    def change(self, grant: Grant, now: float) -> None:
        """The key's rights are others now."""
        self.grant = grant
        self._requests = _bucket(self._requests, grant.requests_per_minute, now)
        self._tokens = _bucket(self._tokens, grant.tokens_per_minute, now)

    def begin(self, now: float, wanted: Estimate = NO_TOKENS, cost: float = 0.0) -> Taken:
        """Let one request in, which may need `wanted` and cost `cost`. Raises Limited, then nothing was taken."""
        grant = self.grant
        if grant.monthly_budget is not None:
            self._afford(grant, grant.monthly_budget)
        if grant.concurrency is not None and self.running >= grant.concurrency:
            seconds = _whole(self._seconds / grant.concurrency)
            raise TooManyAtOnce(key=grant.name, limit=grant.concurrency, seconds=seconds)
        if self._requests is not None and (wait := self._requests.wait(1, now)):
            raise RequestsLimited(key=grant.name, limit=self._requests.limit, seconds=_whole(wait), exact=wait)
        taken = 0.0
        if self._tokens is not None:
            if wait := self._tokens.wait(wanted.total, now):
                facts = {"limit": self._tokens.limit, "wanted": wanted.total, "seconds": _whole(wait), "exact": wait}
                raise TokensLimited(key=grant.name, **facts)
            taken = self._tokens.take(wanted.total, now)
        if self._requests is not None:
            self._requests.take(1, now)
        self.running += 1
        self.reserved += cost
        return Taken(taken, cost)

    def end(self, taken: Taken, used: int, seconds: float, now: float) -> None:
        """The request is over: it used so many tokens and took so long."""
        self.running -= 1
        self.reserved -= taken.cost
        self._seconds += (seconds - self._seconds) * (LATEST if self._seconds else 1.0)
        if self._tokens is not None:
            self._tokens.settle(taken.tokens, used, now)

    def headers(self, now: float) -> dict[str, str]:
        """What is left, in OpenAI's headers (https://platform.openai.com/docs/guides/rate-limits)."""
        said: dict[str, str] = {}
        for kind, bucket in (("requests", self._requests), ("tokens", self._tokens)):
            if bucket is not None:
                said[f"x-ratelimit-limit-{kind}"] = str(bucket.limit)
                said[f"x-ratelimit-remaining-{kind}"] = str(max(0, math.floor(bucket.level(now))))
                said[f"x-ratelimit-reset-{kind}"] = duration(bucket.full(now))
        return said

    def _afford(self, grant: Grant, budget: float) -> None:
        spent = self._spent()
        facts = {"key": grant.name, "limit": f"{budget:g}", "spent": f"{spent:.4f}"}
        if spent >= budget:
            raise BudgetSpent(seconds=_whole(seconds_left(utc())), **facts)
        if spent + self.reserved >= budget:
            raise BudgetInUse(seconds=_whole(self._seconds / self.running), **facts)


def _bucket(old: Bucket | None, limit: int | None, now: float) -> Bucket | None:
    if limit is None:
        return None
    if old is None:
        return Bucket(limit, now)
    if old.limit != limit:
        old.resize(limit, now)
    return old


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))


def seconds_left(now: datetime) -> float:
    """Until the month of `now` ends."""
    year, after = divmod(now.year * 12 + now.month, 12)
    return (datetime(year, after + 1, 1, tzinfo=now.tzinfo) - now).total_seconds()


def duration(seconds: float) -> str:
    """As OpenAI writes one.

    >>> duration(0.017), duration(1), duration(90.5), duration(3600)
    ('17ms', '1s', '1m30.5s', '1h0m0s')
    """
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = (f"{hours}h" if hours else "", f"{minutes}m" if hours or minutes else "", f"{round(rest, 3):g}s")
    return "".join(parts)


__all__ = ["NO_TOKENS", "Limited", "Meter", "Taken", "duration", "seconds_left"]
