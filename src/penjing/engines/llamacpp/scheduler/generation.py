"""Requests for text: messages and bare prompts, one answer or several, whole or streamed.

Does not know: what else the worker answers, what the scheduler decides.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from aiohttp import web

from penjing.engines.llamacpp.scheduler import families, forcing, wishes
from penjing.engines.llamacpp.scheduler.asked import LENGTH, Ask, Said
from penjing.engines.llamacpp.scheduler.chat import Chat
from penjing.engines.llamacpp.scheduler.faults import facts
from penjing.engines.llamacpp.scheduler.reply import DONE, Reply, event
from penjing.engines.llamacpp.scheduler.service import Service
from penjing.engines.llamacpp.scheduler.speech import THINK, Piece, Speech
from penjing.engines.llamacpp.scheduler.tools import Calls
from penjing.engines.llamacpp.settings import Settings
from penjing.errors import InvalidRequest, PenjingError, Unsupported

Body = dict[str, Any]
Heard = tuple[Reply, Piece]


class Generation:
    """Answers with `service`, started with `settings`."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self.service, self.settings = service, settings
        self.model = service.scheduler.context.model
        self.chat = Chat(self.model, {"enable_thinking": False} if settings.silent else None)
        self.family = families.of(self.chat.source)
        self._usual = wishes.defaults(self.model)
        self._voice = tuple(weight for _, weight in settings.lora)
        marks = self.family.marks if self.family else ()
        words = (self.model.tokenize(mark, special=True, begin=False) for mark in marks)
        self._shown = frozenset(found[0] for found in words if len(found) == 1 and self.model.control(found[0]))

    def prompt(self, body: Body) -> str:
        """The conversation of `body` as text. Raises InvalidRequest, Unsupported."""
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages) or not messages:
            raise InvalidRequest(detail="messages: a list of messages is expected.")
        generate = body.get("add_generation_prompt")
        words = body.get("chat_template_kwargs") or {}
        return self.chat.prompt(
            messages, words, tools=self._tools(body), generate=True if generate is None else bool(generate)
        )

    def tokens(self, prompt: str) -> list[int]:
        """With the beginning that the model wants, once, also where the template has written it."""
        mark = self.model.special("bos") if self.model.begins else None
        begun = "" if mark is None else self.model.piece(mark, special=True).decode(errors="replace")
        return self.model.tokenize(prompt.removeprefix(begun), special=True)

    def _tools(self, body: Body) -> list[Body]:
        """What may be called. Raises Unsupported where the model's way to call is not known here."""
        found = [] if body.get("tool_choice") == "none" else list(body.get("tools") or ())
        if found and self.family is None:
            raise Unsupported(feature="'tools' with the scheduler penjing", model=self.settings.name)
        return found

    async def messages(self, request: web.Request, body: Body) -> web.StreamResponse:
        """Answer a conversation."""
        prompt, offered = self.prompt(body), self._tools(body)
        if offered and self.family and body.get("tool_choice") == "required":
            bound = forcing.required(self.family, offered, self.model)
            body = {**body, "grammar": bound, "response_format": None, "json_schema": None}
        apart = body.get("reasoning_format") or ("auto" if self.settings.silent else "none")
        thinking = prompt.rstrip().endswith(THINK)
        calling = self.family if offered and body.get("parse_tool_calls") is not False else None

        def speech() -> Speech:
            return Speech(
                self.model,
                wishes.stops(body),
                apart=apart != "none",
                thinking=thinking,
                calls=Calls(calling, offered) if calling else None,
                shown=self._shown if calling else frozenset(),
                budget=wishes.budget(body),
            )

        speeches = [speech() for _ in range(body.get("n") or 1)]
        return await self._answer(request, body, [self.tokens(prompt)], speeches, chat=True)

    async def texts(self, request: web.Request, body: Body) -> web.StreamResponse:
        """Go on after bare prompts."""
        prompts = wishes.prompts(body, self.model)
        speeches = [Speech(self.model, wishes.stops(body)) for _ in range(len(prompts) * (body.get("n") or 1))]
        return await self._answer(request, body, prompts, speeches, chat=False)

    async def _answer(
        self, request: web.Request, body: Body, prompts: list[list[int]], speeches: list[Speech], *, chat: bool
    ) -> web.StreamResponse:
        if not self.model.generates or self.settings.pooling == "rank":
            raise Unsupported(feature="text", model=self.settings.name)
        heard: asyncio.Queue[Heard] = asyncio.Queue()
        replies: list[Reply] = []
        for index, speech in enumerate(speeches):
            ask = self._ask(body, prompts[index * len(prompts) // len(speeches)], index)
            replies.append(Reply(self.model, self.settings.name, ask, chat, index, replies[0].id if replies else ""))
            ask.hear = Ear(replies[-1], speech, heard, body).hear
        async with aclosing(self._pieces([reply.ask for reply in replies], heard)) as pieces:
            if body.get("stream"):
                counted = bool((body.get("stream_options") or {}).get("include_usage"))
                return await streamed(request, replies, pieces, counted=counted)
            found: list[list[Piece]] = [[] for _ in replies]
            async for reply, piece in pieces:
                found[reply.index].append(piece)
        choices = [reply.choice(said) for reply, said in zip(replies, found, strict=True)]
        return web.json_response(replies[0].whole(choices, replies[1:]))

    def _ask(self, body: Body, tokens: list[int], index: int) -> Ask:
        """Which of several it is changes what a seed gives. Raises InvalidRequest."""
        sampling = wishes.sampling(body, self._usual, self.model)
        if index and sampling.seed is not None:
            sampling = replace(sampling, seed=sampling.seed + index)
        return Ask(
            tokens,
            wishes.limit(body),
            lambda said: True,
            sampling,
            frozenset() if body.get("ignore_eos") else self.model.ends,
            wishes.likely(body),
            voice=wishes.voice(body, self._voice),
            keep=wishes.kept(body, len(tokens)),
            reuse=body.get("cache_prompt") is not False,
        )

    async def _pieces(self, asks: Sequence[Ask], heard: asyncio.Queue[Heard]) -> AsyncGenerator[Heard, None]:
        """Everything that is said, to the end. Raises what went wrong; who stops listening stops the answers."""
        for ask in asks:
            self.service.submit(ask)
        left = len(asks)
        try:
            while left:
                reply, piece = await heard.get()
                if piece.said.error is not None:
                    raise piece.said.error
                yield reply, piece
                left -= bool(piece.finish)
        finally:
            for ask in asks:
                self.service.cancel(ask)


class Ear:
    """Hears the tokens of `reply` in the scheduler's thread, and puts what `speech` makes of them into `heard`. `body`
    may limit the time that they take."""

    def __init__(self, reply: Reply, speech: Speech, heard: asyncio.Queue[Heard], body: Body) -> None:
        self._reply, self._speech, self._heard = reply, speech, heard
        self._loop = asyncio.get_running_loop()
        self._most = (body.get("t_max_predict_ms") or 0) / 1000
        self._begun, self._lines = 0.0, False

    def hear(self, said: Said) -> bool:
        """Whether more is wanted."""
        if self._late(said):
            said = replace(said, finish=LENGTH)
        piece = self._speech.hear(said)
        self._lines = self._lines or "\n" in piece.content
        if forced := self._speech.forced:
            model = self._reply.model
            self._reply.ask.forced.extend(model.tokenize(forced, special=True, begin=False))
        self._loop.call_soon_threadsafe(self._heard.put_nowait, (self._reply, piece))
        return not piece.finish

    def _late(self, said: Said) -> bool:
        """Whether the time is over; as in llama.cpp's server, not before a line was."""
        if self._most <= 0 or said.finish or said.error:
            return False
        self._begun = self._begun or time.monotonic()
        return self._lines and time.monotonic() - self._begun > self._most


async def streamed(
    request: web.Request, replies: Sequence[Reply], pieces: AsyncGenerator[Heard, None], *, counted: bool
) -> web.StreamResponse:
    """`pieces` as events. What goes wrong before the first is an error, later an event."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    begun = set[int]()
    try:
        async for reply, piece in pieces:
            if not begun:
                await response.prepare(request)
            if reply.chat and reply.index not in begun:
                await response.write(reply.first())
            begun.add(reply.index)
            if chunk := reply.chunk(piece):
                await response.write(chunk)
    except PenjingError as error:
        if not begun:
            raise
        await response.write(event({"error": facts(error)}))
        return response
    if counted:
        await response.write(replies[0].usage(replies[1:]))
    await response.write(DONE)
    return response
