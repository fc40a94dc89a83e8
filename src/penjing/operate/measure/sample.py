"""One measured answer: when it was asked, began and ended, and how many tokens it had.

Does not know: connections, other answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penjing.operate.measure.wire import Heard, events


@dataclass(frozen=True)
class Sample:
    """Moments are seconds of a steady clock. `moments` are those at which tokens arrived, one for each event that
    carried text; `error` says in a few words why the answer does not count."""

    asked: float
    ended: float
    moments: tuple[float, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    error: str = ""

    @property
    def first(self) -> float:
        """Time to first token, seconds."""
        return self.moments[0] - self.asked if self.moments else 0.0

    @property
    def whole(self) -> float:
        """From question to end of answer, seconds."""
        return self.ended - self.asked

    @property
    def gaps(self) -> list[float]:
        """Seconds between tokens as they arrived; 0 for those that came together."""
        return [after - before for before, after in zip(self.moments, self.moments[1:], strict=False)]

    @property
    def each(self) -> float:
        """Seconds for each token after the first (TPOT); 0 where there were fewer than two."""
        further = self.completion_tokens - 1
        return (self.moments[-1] - self.moments[0]) / further if further > 0 and len(self.moments) > 1 else 0.0

    @property
    def decode(self) -> float:
        """Tokens a second of this stream after its first token."""
        return 1 / self.each if self.each else 0.0

    @property
    def prefill(self) -> float:
        """Prompt tokens a second until the first token; what a cache held does not count. Includes that token's own
        step and the way there and back, as whoever waits for it does."""
        return (self.prompt_tokens - self.cached_tokens) / self.first if self.first else 0.0


def sample(heard: Heard) -> Sample:
    """What an answer was. It is an error where its status is not 200, it holds one, or no token came."""
    if heard.error or heard.status != 200:
        return Sample(heard.asked, heard.ended, error=heard.error or f"HTTP {heard.status}: {complaint(heard.body)}")
    moments: list[float] = []
    counts: dict[str, Any] = {}
    finished = False
    for moment, event in events(heard):
        if "error" in event:
            return Sample(heard.asked, heard.ended, tuple(moments), error=told(event["error"]))
        counts = event.get("usage") or counts
        for choice in event.get("choices") or ():
            finished = finished or bool(choice.get("finish_reason"))
            if carries(choice):
                moments.append(moment)
    if not finished or not moments:
        error = "an answer without a token" if finished else "a stream without an end"
        return Sample(heard.asked, heard.ended, tuple(moments), error=error)
    details = counts.get("prompt_tokens_details") or {}
    return Sample(
        heard.asked,
        heard.ended,
        tuple(moments),
        prompt_tokens=int(counts.get("prompt_tokens") or 0),
        completion_tokens=int(counts.get("completion_tokens") or len(moments)),
        cached_tokens=int(details.get("cached_tokens") or 0),
    )


def every_token(heard: Heard) -> Sample:
    """As `sample`, for a stream of bare text: tokens without a letter count as well, as random weights and models that
    may not end say them."""
    found = sample(heard)
    if heard.error or heard.status != 200 or found.error not in ("", "an answer without a token"):
        return found
    told = [(moment, event) for moment, event in events(heard)]
    counts: dict[str, Any] = next((event["usage"] for _, event in reversed(told) if event.get("usage")), {})
    moments = tuple(moment for moment, event in told if event.get("choices"))
    said = int(counts.get("completion_tokens") or len(moments))
    details = counts.get("prompt_tokens_details") or {}
    prompt, cached = int(counts.get("prompt_tokens") or 0), int(details.get("cached_tokens") or 0)
    return Sample(heard.asked, heard.ended, moments[:said], prompt, said, cached)


def carries(choice: dict[str, Any]) -> bool:
    """Whether a choice of an event holds part of an answer: text, thinking or a call."""
    delta = choice.get("delta") or {}
    return any(
        (choice.get("text"), delta.get("content"), delta.get("reasoning_content"), delta.get("reasoning"))
    ) or bool(delta.get("tool_calls"))


def complaint(body: bytes) -> str:
    """A server's own words about what was wrong, short."""
    import msgspec

    try:
        outer = msgspec.json.decode(body)
        return told(outer.get("error", outer))
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
        return body[:200].decode(errors="replace").strip()


def told(error: Any) -> str:
    """The message of an error object, at most 200 characters."""
    return str(error.get("message") or error if isinstance(error, dict) else error)[:200]
