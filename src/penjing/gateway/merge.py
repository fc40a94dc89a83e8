"""Several answers as one: `n` choices of a prompt, or a list of prompts, each its own request to the engine.

Engines differ in what they make of `n` (llama.cpp takes no more than it has slots, and counts the tokens of one
choice only); asked one by one they all do the same, and token counts add up. A given seed counts up with the choices,
so that they differ and can be repeated.

Does not know: how requests are sent (`send` does).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeGuard

import msgspec

from penjing.errors import EngineError, PenjingError
from penjing.gateway import sse
from penjing.gateway.answer import Answer
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.rewrite import SEED_BITS, replaced
from penjing.messages import Chunk

Send = Callable[[bytes], Awaitable[Answer]]
QUEUED_EVENTS = 64


def several(body: wire.AnyBody) -> TypeGuard[wire.ChatBody | wire.CompletionBody]:
    """Whether `body` asks for more than one answer."""
    if isinstance(body, wire.EmbeddingBody):
        return False
    return (body.n or 1) > 1 or len(_prompts(body)) > 1


def split(raw: bytes, body: wire.ChatBody | wire.CompletionBody) -> list[bytes]:
    """One engine request for each choice of each prompt, in the order of their index."""
    requests = []
    prompts = _prompts(body)
    for prompt in prompts:
        for choice in range(body.n or 1):
            changes: dict[str, object] = {"n": 1}
            if len(prompts) > 1:
                changes["prompt"] = prompt
            if body.seed is not None and choice:
                changes["seed"] = (body.seed + choice) & SEED_BITS
            if body.stream:
                changes["stream_options"] = {"include_usage": True}
            requests.append(replaced(raw, changes))
    return requests


def _prompts(body: wire.ChatBody | wire.CompletionBody) -> list[object]:
    prompt = body.prompt if isinstance(body, wire.CompletionBody) else None
    if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
        return list(prompt)
    return [prompt]


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
    requests = split(raw, body)
    tally = Tally(body.n or 1)
    if body.stream:
        usage = bool(body.stream_options and body.stream_options.include_usage)
        return _stream(requests, send, tally, usage)
    return _one(await _whole(requests, send, tally))


async def _one(chunk: Chunk) -> AsyncIterator[Chunk]:
    yield chunk


async def _whole(requests: list[bytes], send: Send, tally: Tally) -> Chunk:
    tasks = [asyncio.ensure_future(_read(send, request)) for request in requests]
    try:
        answers = await asyncio.gather(*tasks)
    finally:
        await _cancel(tasks)
    choices = []
    for index, answer in enumerate(answers):
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


async def _stream(requests: list[bytes], send: Send, tally: Tally, usage: bool) -> AsyncIterator[Chunk]:
    queue: asyncio.Queue[tuple[int, dict[str, Any] | PenjingError | None]] = asyncio.Queue(QUEUED_EVENTS)
    tasks = [asyncio.ensure_future(_follow(send, request, index, queue)) for index, request in enumerate(requests)]
    running = len(tasks)
    head: dict[str, Any] = {}
    try:
        while running:
            index, event = await queue.get()
            if isinstance(event, PenjingError):
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


async def _follow(
    send: Send, request: bytes, index: int, queue: asyncio.Queue[tuple[int, dict[str, Any] | PenjingError | None]]
) -> None:
    try:
        answer = await send(request)
        try:
            async for payload in sse.payloads(answer):
                await queue.put((index, sse.decoded(payload)))
        finally:
            answer.cancel()
    except PenjingError as error:
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
