"""The worker's HTTP surface, as llama.cpp's server has it, before the scheduler.

Does not know: how a worker is started, what the scheduler decides.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from aiohttp import web

from penjing.engines.llamacpp.scheduler import tools, wishes
from penjing.engines.llamacpp.scheduler.asked import Ask, Said
from penjing.engines.llamacpp.scheduler.chat import Chat
from penjing.engines.llamacpp.scheduler.reply import DONE, Reply, event
from penjing.engines.llamacpp.scheduler.service import Service
from penjing.engines.llamacpp.scheduler.speech import THINK, Piece, Speech
from penjing.engines.llamacpp.settings import Settings
from penjing.errors import ContextOverflow, InvalidRequest, PenjingError, Unsupported

LARGEST = 64 << 20
"""Bytes of a request's body."""
Body = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Answers with `service`, started with `settings`. `app` is what is listened with."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self.service, self.settings = service, settings
        self.model = service.scheduler.context.model
        self.chat = Chat(self.model, {"enable_thinking": False} if settings.silent else None)
        self._usual = wishes.defaults(self.model)
        self.app = web.Application(client_max_size=LARGEST, middlewares=[self._guarded])
        for path, read in (("/health", self._health), ("/v1/health", self._health), ("/props", self._props)):
            self.app.router.add_get(path, read)
        self.app.router.add_get("/v1/models", self._models)
        self.app.router.add_get("/slots", self._slots)
        self.app.router.add_get("/metrics", self._metrics)
        for path, answer in (
            ("/v1/chat/completions", self._chat),
            ("/v1/completions", self._text),
            ("/v1/chat/completions/input_tokens", self._count),
            ("/apply-template", self._apply),
            ("/tokenize", self._tokenize),
            ("/detokenize", self._detokenize),
        ):
            self.app.router.add_post(path, answer)

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.settings.key and request.headers.get("Authorization") != f"Bearer {self.settings.key}":
            return refusal(401, "Invalid API Key", "authentication_error")
        try:
            found = await handler(request)
        except PenjingError as error:
            return told(error)
        return found

    async def _body(self, request: web.Request) -> Body:
        try:
            body = json.loads(await request.read())
        except ValueError as error:
            raise InvalidRequest(detail=f"The body is not valid JSON: {error}") from None
        if not isinstance(body, dict):
            raise InvalidRequest(detail="The body must be a JSON object.")
        wishes.require_known(body, self.settings.name)
        return body

    def _prompt(self, body: Body) -> str:
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages) or not messages:
            raise InvalidRequest(detail="messages: a list of messages is expected.")
        generate = body.get("add_generation_prompt")
        words = body.get("chat_template_kwargs") or {}
        return self.chat.prompt(
            messages, words, tools=self._tools(body), generate=True if generate is None else bool(generate)
        )

    def _tools(self, body: Body) -> list[Body]:
        """What may be called. Raises Unsupported where the model's way to call is not known here."""
        found = [] if body.get("tool_choice") == "none" else list(body.get("tools") or ())
        if found and not tools.known(self.chat.source):
            raise Unsupported(feature="'tools' with the scheduler penjing", model=self.settings.name)
        return found

    def _tokens(self, prompt: str) -> list[int]:
        """With the beginning that the model wants, once, also where the template has written it."""
        mark = self.model.special("bos") if self.model.begins else None
        begun = "" if mark is None else self.model.piece(mark, special=True).decode(errors="replace")
        return self.model.tokenize(prompt.removeprefix(begun), special=True)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        prompt = self._prompt(body)
        offered = self._tools(body)
        if offered and body.get("tool_choice") == "required":
            body = {**body, "grammar": tools.required(offered), "response_format": None, "json_schema": None}
        apart = body.get("reasoning_format") or ("auto" if self.settings.silent else "none")
        speech = Speech(
            self.model,
            wishes.stops(body),
            apart=apart != "none",
            thinking=prompt.rstrip().endswith(THINK),
            tools=bool(offered),
        )
        return await self._answer(request, body, self._tokens(prompt), speech, chat=True)

    async def _text(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        tokens = wishes.prompt_tokens(body, self.model)
        return await self._answer(request, body, tokens, Speech(self.model, wishes.stops(body)), chat=False)

    async def _answer(
        self, request: web.Request, body: Body, tokens: list[int], speech: Speech, *, chat: bool
    ) -> web.StreamResponse:
        heard: asyncio.Queue[Piece] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def hear(said: Said) -> bool:
            piece = speech.hear(said)
            loop.call_soon_threadsafe(heard.put_nowait, piece)
            return not piece.finish

        ends = frozenset() if body.get("ignore_eos") else self.model.ends
        ask = Ask(
            tokens,
            wishes.limit(body),
            hear,
            wishes.sampling(body, self._usual, self.model),
            ends,
            wishes.likely(body),
        )
        reply = Reply(self.model, self.settings.name, ask, chat)
        async with aclosing(self._pieces(ask, heard)) as pieces:
            if not body.get("stream"):
                return web.json_response(reply.whole([piece async for piece in pieces]))
            counted = bool((body.get("stream_options") or {}).get("include_usage"))
            return await streamed(request, reply, pieces, counted=counted)

    async def _pieces(self, ask: Ask, heard: asyncio.Queue[Piece]) -> AsyncGenerator[Piece, None]:
        """Everything that is said, to the end. Raises what went wrong; who stops listening stops the answer."""
        self.service.submit(ask)
        try:
            while True:
                piece = await heard.get()
                if piece.said.error is not None:
                    raise piece.said.error
                yield piece
                if piece.finish:
                    return
        finally:
            ask.cancelled = True

    async def _count(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        return web.json_response({"input_tokens": len(self._tokens(self._prompt(body)))})

    async def _apply(self, request: web.Request) -> web.Response:
        return web.json_response({"prompt": self._prompt(await self._body(request))})

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        text = str(body.get("content") or "")
        special = body.get("parse_special")
        tokens = self.model.tokenize(
            text, special=True if special is None else bool(special), begin=bool(body.get("add_special"))
        )
        return web.json_response({"tokens": tokens})

    async def _detokenize(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        return web.json_response({"content": self.model.detokenize(body["tokens"], special=True)})

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": self.settings.name, "object": "model"}]})

    async def _slots(self, request: web.Request) -> web.Response:
        busy = self.service.busy
        return web.json_response([{"id": slot, "is_processing": slot < busy} for slot in range(self.settings.slots)])

    async def _metrics(self, request: web.Request) -> web.Response:
        scheduler = self.service.scheduler
        lines = (
            f"penjing_scheduler_running {self.service.busy}",
            f"penjing_scheduler_waiting {self.service.waiting}",
            f"penjing_scheduler_cells {scheduler.tree.cells}",
            f"penjing_scheduler_resting {len(scheduler.resting)}",
            f"penjing_scheduler_free {scheduler.free}",
        )
        return web.Response(text="\n".join(lines) + "\n")

    async def _props(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "default_generation_settings": {"n_ctx": self.service.scheduler.each},
                "total_slots": self.settings.slots,
                "chat_template": self.chat.source,
                "chat_template_caps": {"supports_tools": tools.known(self.chat.source)},
                "modalities": {"vision": False, "audio": False},
                "model_ftype": self.model.metadata.get("general.file_type", ""),
            }
        )


async def streamed(
    request: web.Request, reply: Reply, pieces: AsyncIterator[Piece], *, counted: bool
) -> web.StreamResponse:
    """`pieces` as events. What goes wrong before the first is an error, later an event."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    begun = False
    try:
        async for piece in pieces:
            if not begun:
                begun = True
                await response.prepare(request)
                if reply.chat:
                    await response.write(reply.first())
            if chunk := reply.chunk(piece):
                await response.write(chunk)
    except PenjingError as error:
        if not begun:
            raise
        await response.write(event({"error": facts(error)}))
        return response
    if counted:
        await response.write(reply.usage())
    await response.write(DONE)
    return response


def facts(error: PenjingError) -> Body:
    """An error as llama.cpp's server tells it."""
    if isinstance(error, ContextOverflow):
        more = {"n_prompt_tokens": error.facts["tokens"], "n_ctx": error.facts["context"]}
        return {"code": 400, "message": error.message("en"), "type": "exceed_context_size_error", **more}
    return {"code": error.status, "message": error.message("en"), "type": error.kind}


def told(error: PenjingError) -> web.Response:
    """An error as an answer."""
    return web.json_response({"error": facts(error)}, status=error.status)


def refusal(status: int, message: str, kind: str) -> web.Response:
    """An answer that is none."""
    return web.json_response({"error": {"code": status, "message": message, "type": kind}}, status=status)
