"""Asks an engine over its address and yields the events of one answer.

Speaks OpenAI's dialect as every engine does. Does not know: screens, processes, whether the engine is restarted.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penjing.errors import (
    AccessError,
    ContextOverflow,
    EngineBusy,
    EngineError,
    EngineLoading,
    InputError,
    PenjingError,
)
from penjing.messages import Delta, Event, Finish, Usage

if TYPE_CHECKING:
    import aiohttp

    from penjing.engines.engine import Address

LONGEST_EVENT = 1 << 22  # bytes of one server-sent event
CONNECT_SECONDS = 10
EARLY = "the stream ended before the answer did"
GARBLED = "it sent something that is no event"


class ConnectionLost(EngineError):
    """The answer broke off. Facts: `model`, `detail`."""

    template = "The connection to {model} broke off: {detail}"
    hint = "Ask again; if it happens each time, see that the server is up."
    code = "connection_lost"


class PromptTooLong(ContextOverflow):
    """A server says so in its own words. Facts: `detail`."""

    template = "The conversation is too long for this model: {detail}"
    hint = "Forget the beginning with /clear, or start with a larger --max-context."


class KeyRefused(AccessError):
    """Facts: `model`, `detail`."""

    template = "{model} refused the key: {detail}"
    hint = "Give the right one with --remote-key, or PENJING_MODEL_REMOTE_KEY."


class Refused(EngineError):
    """A server's own complaint. Facts: `model`, `status`, `detail`."""

    template = "{model} answered with status {status}: {detail}"
    code = "engine_refused"


@dataclass
class Clock:
    """When an answer was asked for, began and ended (seconds of a steady clock), and its token counts."""

    asked: float = 0.0
    first: float = 0.0
    last: float = 0.0
    usage: Usage | None = None
    pieces: int = 0

    def start(self) -> None:
        """The question is being sent."""
        self.asked = time.perf_counter()

    def hear(self, event: Event) -> None:
        """Take note of one event."""
        if isinstance(event, Usage):
            self.usage = event
        elif isinstance(event, Delta):
            self.last = time.perf_counter()
            self.first = self.first or self.last
            self.pieces += 1

    @property
    def to_first(self) -> float:
        """Seconds until the first token."""
        return self.first - self.asked if self.first else 0.0

    @property
    def tokens(self) -> int:
        """Tokens of the answer; the number of pieces where the server does not count."""
        return self.usage.completion_tokens if self.usage else self.pieces

    @property
    def speed(self) -> float:
        """Tokens per second after the first; 0 where there were fewer than two."""
        return (self.tokens - 1) / (self.last - self.first) if self.tokens > 1 and self.last > self.first else 0.0


async def ask(address: Address, model: str, body: dict[str, object]) -> AsyncIterator[Event]:
    """The events of one streamed answer. Raises ContextOverflow, EngineError kinds, ConnectionLost."""
    import aiohttp

    asked = {**body, "model": model, "stream": True, "stream_options": {"include_usage": True}}
    finished = False
    try:
        async with _post(address, asked) as response:
            if response.status != 200:
                raise complaint(model, response.status, await response.read())
            async for event in _events(response, model):
                finished = finished or isinstance(event, Finish)
                yield event
    except aiohttp.ClientPayloadError as error:
        raise ConnectionLost(model=model, detail=EARLY) from error
    except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
        raise ConnectionLost(model=model, detail=str(error) or type(error).__name__) from error
    if not finished:
        raise ConnectionLost(model=model, detail=EARLY)


@asynccontextmanager
async def _post(address: Address, body: dict[str, object]) -> AsyncIterator[aiohttp.ClientResponse]:
    import aiohttp

    connector = aiohttp.UnixConnector(path=address.socket) if address.socket else aiohttp.TCPConnector()
    patience = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    async with (
        aiohttp.ClientSession(
            connector=connector, timeout=patience, headers=address.headers, read_bufsize=LONGEST_EVENT
        ) as session,
        session.post(f"{address.url.rstrip('/')}/v1/chat/completions", json=body) as response,
    ):
        yield response


async def _events(response: aiohttp.ClientResponse, model: str) -> AsyncIterator[Event]:
    async for line in response.content:
        name, _, value = line.partition(b":")
        value = value.strip()
        if name == b"error" or (name == b"data" and value.startswith(b'{"error"')):
            raise complaint(model, 200, value)
        if name == b"data" and value != b"[DONE]":
            try:
                events = read_chunk(json.loads(value))
            except (ValueError, AttributeError, TypeError) as error:
                raise ConnectionLost(model=model, detail=GARBLED) from error
            for event in events:
                yield event


def read_chunk(chunk: dict[str, Any]) -> list[Event]:
    """The events in one `chat.completion.chunk`."""
    found: list[Event] = []
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta") or {}
        text, reasoning = delta.get("content") or "", delta.get("reasoning_content") or delta.get("reasoning") or ""
        if text or reasoning:
            found.append(Delta(text=text, reasoning=reasoning))
        if choice.get("finish_reason"):
            found.append(Finish(reason=choice["finish_reason"]))
    if usage := chunk.get("usage"):
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        found.append(
            Usage(
                prompt_tokens=usage.get("prompt_tokens") or 0,
                completion_tokens=usage.get("completion_tokens") or 0,
                cached_tokens=cached,
            )
        )
    return found


def complaint(model: str, status: int, body: bytes) -> PenjingError:
    """What a server refused with, as a typed error."""
    fault: dict[str, Any] = {}
    try:
        outer = json.loads(body)
        inner = outer.get("error", outer)
        fault = inner if isinstance(inner, dict) else {"message": str(inner)}
    except (ValueError, AttributeError):
        fault = {"message": body.decode(errors="replace")[:200].strip()}
    detail = str(fault.get("message") or status)
    kinds = {str(fault.get("type")), str(fault.get("code"))}
    if "exceed_context_size_error" in kinds and "n_prompt_tokens" in fault:
        return ContextOverflow(tokens=fault["n_prompt_tokens"], context=fault.get("n_ctx", "?"))
    if kinds & {"exceed_context_size_error", "context_length_exceeded"}:
        return PromptTooLong(detail=detail)
    status = int(fault["code"]) if isinstance(fault.get("code"), int) else status
    return STATUSES.get(status, Refused)(model=model, status=status, detail=detail, seconds=1, percent="?")


STATUSES: dict[int, Callable[..., PenjingError]] = {
    400: lambda detail, **_: InputError(detail=detail),
    401: KeyRefused,
    403: KeyRefused,
    429: EngineBusy,
    503: EngineLoading,
}
