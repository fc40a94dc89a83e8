"""What is measured of requests, and the token counts at the end of answers.

Does not know: connections.
"""

from __future__ import annotations

import time

import msgspec

from penjing.gateway.metrics import Counter, Gauge, Histogram
from penjing.messages import Usage

TTFT_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TOKEN_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
MARKS = (b'"usage"', b'"timings"')
EVENT = b"data: "


class _Details(msgspec.Struct):
    cached_tokens: int | None = 0


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Timings(msgspec.Struct):
    cache_n: int = 0
    prompt_n: int = 0
    predicted_n: int = 0


class _Counts(msgspec.Struct):
    usage: _Usage | None = None
    timings: _Timings | None = None


COUNTS = msgspec.json.Decoder(_Counts)


def counts(body: bytes) -> Usage | None:
    """The token counts of one JSON answer or event: `usage`, else llama.cpp's `timings`; None without either."""
    try:
        found = COUNTS.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if found.usage is not None:
        details = found.usage.prompt_tokens_details
        cached = (details.cached_tokens or 0) if details else 0
        return Usage(found.usage.prompt_tokens, found.usage.completion_tokens, cached)
    if found.timings is not None:
        cached = found.timings.cache_n
        return Usage(found.timings.prompt_n + cached, found.timings.predicted_n, cached)
    return None


def last_counts(tail: bytes) -> Usage | None:
    """The token counts in the last events of a stream."""
    for mark in MARKS:
        at = tail.rfind(mark)
        start = tail.rfind(EVENT, 0, at) if at >= 0 else -1
        if start >= 0:
            end = tail.find(b"\n", at)
            found = counts(tail[start + len(EVENT) : end if end >= 0 else None])
            if found is not None:
                return found
    return None


class Observed:
    """The metrics of a gateway."""

    def __init__(self) -> None:
        self.requests = Counter("penjing_requests_total", "Requests answered.", ("route", "model", "status"))
        self.tokens = Counter("penjing_tokens_total", "Tokens read and written.", ("model", "kind"))
        self.feedback = Counter("penjing_feedback_total", "What people thought of answers.", ("model", "rating"))
        self.cached = Counter("penjing_cached_tokens_total", "Of the prompt tokens, those not read again.", ("model",))
        self.ttft = Histogram(
            "penjing_time_to_first_token_seconds", "From request to first streamed token.", ("model",), TTFT_BOUNDS
        )
        self.between = Histogram(
            "penjing_inter_token_seconds", "Between streamed tokens, as they leave.", ("model",), TOKEN_BOUNDS
        )
        self.seconds = Histogram("penjing_request_seconds", "From request to end of answer.", ("route",), TTFT_BOUNDS)
        self.in_flight = Gauge("penjing_requests_in_flight", "Requests being answered.")
        self.in_flight.set(to=0)
        self._more: list[Counter | Histogram] = []

    def add(self, *figures: Counter | Histogram) -> None:
        """Figures that a policy keeps."""
        self._more += figures

    def all(self) -> tuple[Counter | Histogram, ...]:
        own = (
            self.requests,
            self.feedback,
            self.tokens,
            self.cached,
            self.ttft,
            self.between,
            self.seconds,
            self.in_flight,
        )
        return (*own, *self._more)


class Watch:
    """One request being measured."""

    __slots__ = ("_events", "_last", "_observed", "began", "code", "label", "model", "status", "ttft", "usage", "whole")

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        self.began = time.perf_counter()
        self._last = 0.0
        self._events = 0
        self.ttft = 0.0
        self.code = ""
        """The code of the error it ended with."""
        self.model = ""
        self.label: tuple[str, ...] = ("",)
        self.status = ""
        """What ended a stream early, in place of the status its head had told."""
        self.usage: Usage | None = None
        self.whole = False
        """Whether the client has the answer to its end, and may leave."""

    def named(self, model: str) -> None:
        self.model = model
        self.label = (model,)

    def tokens(self, events: int) -> float:
        """`events` more were sent; returns seconds since the last ones."""
        self._events += events
        now = time.perf_counter()
        since = now - self._last
        if self._last:
            if events:
                self._observed.between.observe(self.label, since / events, events)
        else:
            self.ttft = now - self.began
            self._observed.ttft.observe(self.label, self.ttft)
        self._last = now
        return since

    def told_all(self, tail: bytes) -> None:
        """The client was told the end of a stream, of which `tail` are the last events: many leave at that word, before
        the engine's own answer is over."""
        self.usage, self.whole = last_counts(tail), True

    @property
    def age(self) -> float:
        """Seconds since the first token, as far as tokens were sent."""
        return self._last - self.began - self.ttft

    def end(self, route: str, status: int) -> float:
        """Everything is counted; returns the seconds it took."""
        observed = self._observed
        seconds = time.perf_counter() - self.began
        observed.requests.add(route, self.model, self.status or str(status))
        observed.seconds.observe((route,), seconds)
        if self.usage is None and self._events:
            # An engine that does not count: an event is about a token.
            self.usage = Usage(0, self._events)
        if self.usage is not None:
            observed.tokens.add(self.model, "prompt", by=self.usage.prompt_tokens)
            observed.cached.add(self.model, by=self.usage.cached_tokens)
            observed.tokens.add(self.model, "completion", by=self.usage.completion_tokens)
        return seconds
