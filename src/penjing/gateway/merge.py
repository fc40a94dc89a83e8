"""Several answers as one: `n` choices of a prompt, or a list of prompts, each its own request to the engine.

Engines differ in what they make of `n` (llama.cpp takes no more than it has slots, and counts the tokens of one
choice only); asked one by one they all do the same, and token counts add up. A given seed counts up with the choices,
so that they differ and can be repeated. No more than `AT_ONCE` of them exist at a time, whatever was asked for.

Does not know: how requests are sent (`send` does).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeGuard

import msgspec

from penjing.errors import EngineError
from penjing.gateway import sse
from penjing.gateway.answer import Answer
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.rewrite import RAW_OBJECT, SEED_BITS
from penjing.messages import Chunk

Send = Callable[[bytes], Awaitable[Answer]]
Requests = Iterator[tuple[int, bytes]]
Queue = asyncio.Queue[tuple[int, dict[str, Any] | Exception | None]]
QUEUED_EVENTS = 64
AT_ONCE = 32


def several(body: wire.AnyBody) -> TypeGuard[wire.ChatBody | wire.CompletionBody]:
    """Whether `body` asks for more than one answer."""
    if isinstance(body, wire.Weighing):
        return False
    return (body.n or 1) > 1 or len(wire.prompts(body)) > 1


def split(raw: bytes, body: wire.ChatBody | wire.CompletionBody) -> Iterator[bytes]:
    """One engine request for each choice of each prompt, in the order of their index."""
    fields: dict[str, object] = dict(RAW_OBJECT.decode(raw))
    prompts = wire.prompts(body)
    for prompt in prompts:
        for choice in range(body.n or 1):
            changes: dict[str, object] = {"n": 1}
            if len(prompts) > 1:
                changes["prompt"] = prompt
            if body.seed is not None and choice:
                changes["seed"] = (body.seed + choice) & SEED_BITS
            if body.stream:
                changes["stream_options"] = {"include_usage": True}
            yield msgspec.json.encode({**fields, **changes})


class Tally:
    """The usage of all: each prompt counts once, every written token counts."""

    def __init__(self, choices: int) -> None:
        self._choices = choices
        self._prompt = self._completion = self._cached = 0

    def add(self, index: int, usage: dict[str, Any]) -> None:
        self._completion += usage.get("completion_tokens", 0)
        if index % self._choices == 0:
            self._prompt += usage.get("prompt_tokens", 0)
            self._cached += (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0

    def usage(self) -> dict[str, object]:
        return {
            "prompt_tokens": self._prompt,
            "completion_tokens": self._completion,
            "total_tokens": self._prompt + self._completion,
            "prompt_tokens_details": {"cached_tokens": self._cached},
        }


async def merged(raw: bytes, body: wire.ChatBody | wire.CompletionBody, send: Send) -> AsyncIterator[Chunk]:
    """The answers to all requests of `body` as one. Raises what `send` raises; leaving it cancels all of them."""
    requests = enumerate(split(raw, body))
    count = len(wire.prompts(body)) * (body.n or 1)
    tally = Tally(body.n or 1)
    if body.stream:
        usage = bool(body.stream_options and body.stream_options.include_usage)
        return _stream(requests, count, send, tally, usage)
    return _one(await _whole(requests, count, send, tally))


async def _one(chunk: Chunk) -> AsyncIterator[Chunk]:
    yield chunk


async def _whole(requests: Requests, count: int, send: Send, tally: Tally) -> Chunk:
    answers: dict[int, dict[str, Any]] = {}

    async def work() -> None:
        for index, request in requests:
            answers[index] = await _read(send, request)

    tasks = [asyncio.ensure_future(work()) for _ in range(min(count, AT_ONCE))]
    try:
        await asyncio.gather(*tasks)
    finally:
        await _cancel(tasks)
    choices = []
    for index, answer in sorted(answers.items()):
        choices.append({**_first(answer["choices"]), "index": index})
        tally.add(index, answer.get("usage") or {})
    answers[0].pop("timings", None)
    return Chunk(msgspec.json.encode({**answers[0], "choices": choices, "usage": tally.usage()}))


async def _read(send: Send, request: bytes) -> dict[str, Any]:
    answer = await send(request)
    try:
        return sse.decoded(await answer.read())
    finally:
        answer.cancel()


async def _stream(requests: Requests, count: int, send: Send, tally: Tally, usage: bool) -> AsyncIterator[Chunk]:
    queue: Queue = asyncio.Queue(QUEUED_EVENTS)

    async def work() -> None:
        for index, request in requests:
            await _follow(send, request, index, queue)

    tasks = [asyncio.ensure_future(work()) for _ in range(min(count, AT_ONCE))]
    running = count
    head: dict[str, Any] = {}
    try:
        while running:
            index, event = await queue.get()
            if isinstance(event, Exception):
                raise event
            if event is None:
                running -= 1
                continue
            if event.get("usage"):
                tally.add(index, event["usage"])
            head = head or {key: event[key] for key in ("id", "object", "created", "model") if key in event}
            if event.get("choices"):
                choices = [{**_first(event["choices"]), "index": index}]
                yield sse.event(msgspec.json.encode({**head, "choices": choices}))
        if usage:
            yield sse.event(msgspec.json.encode({**head, "choices": [], "usage": tally.usage()}))
        yield Chunk(sse.LAST)
    finally:
        await _cancel(tasks)


async def _follow(send: Send, request: bytes, index: int, queue: Queue) -> None:
    try:
        answer = await send(request)
        try:
            async for payload in sse.payloads(answer):
                await queue.put((index, sse.decoded(payload)))
        finally:
            answer.cancel()
    except Exception as error:  # raised where the stream is written, else it would wait for ever
        await queue.put((index, error))
    else:
        await queue.put((index, None))


def _first(choices: Any) -> dict[str, Any]:
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0]
    raise EngineError(detail="its answer has no choices")


async def _cancel(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
