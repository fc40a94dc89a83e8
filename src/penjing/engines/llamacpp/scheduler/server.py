"""The worker's HTTP surface, as llama.cpp's server has it, before the scheduler.

Does not know: how a worker is started, how requests become answers (`generation`, `weighing`).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from penjing.engines.llamacpp.scheduler import wishes
from penjing.engines.llamacpp.scheduler.embedding import Embedder
from penjing.engines.llamacpp.scheduler.faults import refusal, told
from penjing.engines.llamacpp.scheduler.generation import Generation
from penjing.engines.llamacpp.scheduler.service import Service
from penjing.engines.llamacpp.scheduler.weighing import Weighing
from penjing.engines.llamacpp.settings import Settings
from penjing.errors import InvalidRequest, PenjingError

LARGEST = 64 << 20
"""Bytes of a request's body."""
Body = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Reader = Callable[[web.Request, Body], Awaitable[web.StreamResponse]]


class Server:
    """Answers with `service`, started with `settings`, and with `embedder` where there is one. `app` is what is
    listened with."""

    def __init__(self, service: Service, settings: Settings, embedder: Embedder | None = None) -> None:
        self.service, self.settings = service, settings
        self.model = service.scheduler.context.model
        self.generation = Generation(service, settings)
        weighing = Weighing(service, embedder, settings.name)
        self.app = web.Application(client_max_size=LARGEST, middlewares=[self._guarded])
        self.app.on_startup.append(self._compile)
        for path, read in (("/health", self._health), ("/v1/health", self._health), ("/props", self._props)):
            self.app.router.add_get(path, read)
        self.app.router.add_get("/v1/models", self._models)
        self.app.router.add_get("/slots", self._slots)
        self.app.router.add_get("/metrics", self._metrics)
        self.app.router.add_get("/lora-adapters", self._adapters)
        answers: tuple[tuple[str, Reader], ...] = (
            ("/v1/chat/completions", self.generation.messages),
            ("/v1/completions", self.generation.texts),
            ("/v1/chat/completions/input_tokens", self._count),
            ("/v1/embeddings", weighing.embeddings),
            ("/v1/rerank", weighing.rank),
            ("/rerank", weighing.rank),
            ("/apply-template", self._apply),
            ("/tokenize", self._tokenize),
            ("/detokenize", self._detokenize),
        )
        for path, answer in answers:
            self.app.router.add_post(path, partial(self._read, answer))

    async def _compile(self, app: web.Application) -> None:
        """The chat template, beside what else is done at the start."""
        threading.Thread(target=self.generation.chat.ready, name="template", daemon=True).start()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.settings.key and request.headers.get("Authorization") != f"Bearer {self.settings.key}":
            return refusal(401, "Invalid API Key", "authentication_error")
        try:
            found = await handler(request)
        except PenjingError as error:
            return told(error)
        return found

    async def _read(self, answer: Reader, request: web.Request) -> web.StreamResponse:
        """Have `answer` read the body. Raises InvalidRequest, Unsupported."""
        try:
            body = json.loads(await request.read())
        except ValueError as error:
            raise InvalidRequest(detail=f"The body is not valid JSON: {error}") from None
        if not isinstance(body, dict):
            raise InvalidRequest(detail="The body must be a JSON object.")
        wishes.require_known(body, self.settings.name)
        return await answer(request, body)

    async def _count(self, request: web.Request, body: Body) -> web.Response:
        return web.json_response({"input_tokens": len(self.generation.tokens(self.generation.prompt(body)))})

    async def _apply(self, request: web.Request, body: Body) -> web.Response:
        return web.json_response({"prompt": self.generation.prompt(body)})

    async def _tokenize(self, request: web.Request, body: Body) -> web.Response:
        text = str(body.get("content") or "")
        special = body.get("parse_special")
        tokens = self.model.tokenize(
            text, special=True if special is None else bool(special), begin=bool(body.get("add_special"))
        )
        return web.json_response({"tokens": tokens})

    async def _detokenize(self, request: web.Request, body: Body) -> web.Response:
        given = body.get("tokens")
        if not isinstance(given, list) or not all(isinstance(each, int) for each in given):
            raise InvalidRequest(detail="tokens: a list of tokens is expected.")
        return web.json_response({"content": self.model.detokenize(given, special=True)})

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": self.settings.name, "object": "model"}]})

    async def _slots(self, request: web.Request) -> web.Response:
        busy = self.service.busy
        return web.json_response([{"id": slot, "is_processing": slot < busy} for slot in range(self.settings.slots)])

    async def _adapters(self, request: web.Request) -> web.Response:
        adapters = enumerate(self.settings.lora)
        return web.json_response(
            [{"id": number, "path": Path(path).name, "scale": weight} for number, (path, weight) in adapters]
        )

    async def _metrics(self, request: web.Request) -> web.Response:
        cache = self.service.scheduler.cache
        lines = (
            f"penjing_scheduler_running {self.service.busy}",
            f"penjing_scheduler_waiting {self.service.waiting}",
            f"penjing_scheduler_cells {cache.tree.cells}",
            f"penjing_scheduler_resting {len(cache.resting)}",
            f"penjing_scheduler_free {cache.free}",
        )
        return web.Response(text="\n".join(lines) + "\n")

    async def _props(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "default_generation_settings": {"n_ctx": self.service.scheduler.each},
                "total_slots": self.settings.slots,
                "chat_template": self.generation.chat.source,
                "chat_template_caps": {"supports_tools": self.generation.family is not None},
                "modalities": {"vision": False, "audio": False},
                "model_ftype": self.model.metadata.get("general.file_type", ""),
            }
        )
