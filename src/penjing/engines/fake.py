"""An honest engine for tests: a real HTTP server in this process that speaks OpenAI's dialect from a script.

It streams, counts, and fails in the ways real engines fail, when the script says so. It records what it was asked and
which clients left before the end.

Does not know: models. Its tokens are whatever the script holds.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.engines.engine import Address, Capabilities, Progress
from penjing.engines.known import Known
from penjing.engines.never import never

if TYPE_CHECKING:
    from aiohttp import web

STEPS = 10
"""Steps in which scripted loading progresses."""


@dataclass(frozen=True)
class Script:
    """What the engine says and how it fails. Delays in seconds; the `_after` faults count tokens of one answer.

    `die_after` resets the connection, `hang_after` goes silent for good, `garble_after` sends bytes that are no event;
    `status` answers every request with that error. `load` is how long loading takes, `start_error` how it ends.
    """

    tokens: tuple[str, ...] = ("Hello", ",", " world", "!")
    first_delay: float = 0.0
    delay: float = 0.0
    finish: str = "stop"
    context: int = 4096
    slots: int = 4
    version: str = ""
    vision: bool = False
    load: float = 0.0
    start_error: Exception | None = None
    status: int = 0
    die_after: int | None = None
    hang_after: int | None = None
    garble_after: int | None = None


@dataclass
class Received:
    """One request: its path, its JSON body, its headers, and how it went (`running`, `done`, `left`, `fault`)."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    outcome: str = "running"
    tokens: int = 0


class Fake(Known):
    """An engine that says what `script` says. `script` may be replaced between requests; `requests` grows."""

    def __init__(self, script: Script | None = None, name: str = "fake", local: bool = True) -> None:
        super().__init__(name)
        self.script = script or Script()
        self.requests: list[Received] = []
        self.starts = 0
        self._local = local
        self._runner: web.AppRunner | None = None
        self._folder: Path | None = None
        self._death: asyncio.Future[str] | None = None

    @property
    def capabilities(self) -> Capabilities:
        """As scripted. Raises EngineLoading before it is ready."""
        if self._address is None:
            self._not_yet()
        script = self.script
        return Capabilities(
            self._name,
            context=script.context,
            slots=script.slots,
            embeddings=True,
            version=script.version,
            vision=script.vision,
        )

    @property
    def local(self) -> bool:
        """As it was made: it may play a cloud."""
        return self._local

    @property
    def left(self) -> int:
        """How many clients left before their answer was complete."""
        return sum(one.outcome == "left" for one in self.requests)

    async def start(self) -> None:
        """Listen. Raises the scripted `start_error` after the scripted loading time."""
        if self._runner is not None:
            return
        self.starts += 1
        for step in range(STEPS):
            self._progress = Progress(step / STEPS, "loading")
            await asyncio.sleep(self.script.load / STEPS)
        if self.script.start_error is not None:
            raise self.script.start_error
        self._death = asyncio.get_running_loop().create_future()
        await self._listen()
        self._progress = Progress(1.0, "ready")

    async def _listen(self) -> None:
        from aiohttp import web

        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_post("/v1/chat/completions/input_tokens", self._count)
        app.router.add_post("/tokenize", self._count)
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_post("/v1/embeddings", self._embed)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        if os.name == "nt":
            site = web.TCPSite(self._runner, "127.0.0.1", 0)
            await site.start()
            self._address = Address(f"http://127.0.0.1:{self._runner.addresses[0][1]}")
            return
        self._folder = Path(tempfile.mkdtemp(prefix="penjing-fake-"))
        socket = str(self._folder / "engine.sock")
        await web.UnixSite(self._runner, socket).start()
        self._address = Address("http://fake", socket=socket)

    async def ready(self) -> bool:
        """Whether it listens."""
        return self._address is not None

    async def ended(self) -> str:
        """Wait until `die` is called."""
        if self._death is None:
            await never()
        return await asyncio.shield(self._death)

    async def die(self, how: str = "killed by SIGKILL") -> None:
        """End as a killed worker would: every connection is reset, the socket is gone, `ended` returns `how`."""
        death = self._death
        await self._close()
        if death is not None and not death.done():
            death.set_result(how)

    async def stop(self) -> None:
        """Stop listening."""
        self._death = None
        await self._close()

    async def _close(self) -> None:
        runner, self._runner = self._runner, None
        folder, self._folder = self._folder, None
        self._address = None
        self._progress = Progress(0.0, "stopped")
        if runner is not None:
            if runner.server is not None:
                for connection in runner.server.connections:
                    if connection.transport is not None:
                        connection.transport.abort()
            await runner.cleanup()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    async def _health(self, request: web.Request) -> web.Response:
        from aiohttp import web

        return web.json_response({"status": "ok"})

    async def _models(self, request: web.Request) -> web.Response:
        from aiohttp import web

        return web.json_response({"object": "list", "data": [{"id": self._name, "object": "model", "created": 0}]})

    async def _embed(self, request: web.Request) -> web.Response:
        from aiohttp import web

        body = await request.json()
        self.requests.append(Received(request.path, body, dict(request.headers), "done"))
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        data = [{"object": "embedding", "index": index, "embedding": [1.0, 0.0]} for index in range(len(texts))]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        return web.json_response({"object": "list", "model": self._name, "data": data, "usage": usage})

    async def _count(self, request: web.Request) -> web.Response:
        from aiohttp import web

        received = Received(request.path, await request.json(), dict(request.headers), "done")
        self.requests.append(received)
        if self.script.status:
            return self._fault()
        count = usage(received)["prompt_tokens"]
        return web.json_response({"tokens": [0] * count} if request.path == "/tokenize" else {"input_tokens": count})

    def _fault(self) -> web.Response:
        from aiohttp import web

        fault = {"message": "scripted failure", "type": "server_error", "code": self.script.status}
        return web.json_response({"error": fault}, status=self.script.status)

    async def _complete(self, request: web.Request) -> web.StreamResponse:

        body = await request.json()
        received = Received(request.path, body, dict(request.headers))
        self.requests.append(received)
        if self.script.status:
            received.outcome = "fault"
            return self._fault()
        try:
            answer = await (self._stream if body.get("stream") else self._whole)(request, received)
        except (asyncio.CancelledError, ConnectionError):
            if received.outcome == "running":
                received.outcome = "left"
            raise
        received.outcome = "done"
        return answer

    async def _tokens(self, request: web.Request, received: Received, script: Script) -> AsyncIterator[str]:
        """The scripted tokens in their time, or the scripted fault."""
        await asyncio.sleep(script.first_delay)
        limit = received.body.get("max_tokens") or received.body.get("max_completion_tokens") or len(script.tokens)
        for token in script.tokens[:limit]:
            if script.die_after == received.tokens:
                received.outcome = "fault"
                if request.transport is not None:
                    request.transport.abort()
                raise asyncio.CancelledError  # the connection is gone, and aiohttp has nothing to say of it
            if script.hang_after == received.tokens:
                await never()
            received.tokens += 1
            yield token
            await asyncio.sleep(script.delay)

    async def _whole(self, request: web.Request, received: Received) -> web.Response:
        from aiohttp import web

        script = self.script
        text = "".join([token async for token in self._tokens(request, received, script)])
        chat = received.path.startswith("/v1/chat")
        said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        choice = {"index": 0, "finish_reason": script.finish, **said}
        kind = "chat.completion" if chat else "text_completion"
        return web.json_response({**self._head(kind), "choices": [choice], "usage": usage(received)})

    async def _stream(self, request: web.Request, received: Received) -> web.StreamResponse:
        from aiohttp import web

        script = self.script
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        chat = received.path.startswith("/v1/chat")
        head = self._head("chat.completion.chunk" if chat else "text_completion")

        async def send(**fields: object) -> None:
            await response.write(b"data: " + json.dumps({**head, **fields}).encode() + b"\n\n")

        if chat:
            await send(choices=[{"index": 0, "delta": {"role": "assistant", "content": None}, "finish_reason": None}])
        async for token in self._tokens(request, received, script):
            if script.garble_after is not None and received.tokens > script.garble_after:
                await response.write(b'data: {"choices": [{\n\n')
            piece = {"delta": {"content": token}} if chat else {"text": token}
            await send(choices=[{"index": 0, "finish_reason": None, **piece}])
        last: dict[str, object] = {"delta": {}} if chat else {"text": ""}
        await send(choices=[{"index": 0, "finish_reason": script.finish, **last}])
        if (received.body.get("stream_options") or {}).get("include_usage"):
            await send(choices=[], usage=usage(received))
        await response.write(b"data: [DONE]\n\n")
        return response

    def _head(self, kind: str) -> dict[str, object]:
        return {"id": f"fake-{len(self.requests)}", "object": kind, "created": int(time.time()), "model": self._name}


def usage(received: Received) -> dict[str, int]:
    """Token counts: a word of the request's text counts as one token."""
    body = received.body
    texts = [str(message.get("content") or "") for message in body.get("messages", [])] or [str(body.get("prompt", ""))]
    prompt = sum(len(text.split()) for text in texts)
    return {"prompt_tokens": prompt, "completion_tokens": received.tokens, "total_tokens": prompt + received.tokens}
