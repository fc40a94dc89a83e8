from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from penjing.engines.engine import Address
from penjing.engines.fake import Fake, Script
from penjing.operate.measure.prompts import Prompts
from penjing.operate.measure.target import MEANT, NotMeasurable, Target


@asynccontextmanager
async def cloud(*refused: str) -> AsyncIterator[tuple[Target, list[dict[str, Any]]]]:
    """A server that refuses fields by name, as clouds do, and counts no tokens; every word is two of its own."""
    asked: list[dict[str, Any]] = []

    async def chat(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        asked.append(body)
        for name in refused:
            if name in body:
                return web.json_response({"error": {"message": f"Unknown parameter: {name}"}}, status=400)
        tokens = 5 + 2 * len(body["messages"][0]["content"].split())
        usage = {"prompt_tokens": tokens, "completion_tokens": 1}
        text = (
            b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'
            b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
            b'data: {"choices": [], "usage": %s}\n\ndata: [DONE]\n\n' % str(usage).replace("'", '"').encode()
        )
        return web.Response(body=text, content_type="text/event-stream")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Target("cloud", Address(f"http://127.0.0.1:{runner.addresses[0][1]}"), "m"), asked
    finally:
        await runner.cleanup()


async def test_fields_a_server_refuses_are_left_out_and_told() -> None:
    async with cloud("ignore_eos", "max_tokens") as (target, asked):
        await target.meet()
        assert target.left_out == {"ignore_eos", "max_tokens"}
        assert asked[-1]["max_completion_tokens"] == 2
        assert target.notes == [MEANT["ignore_eos"]]
        assert not target.counts


async def test_lengths_are_estimated_where_nobody_counts() -> None:
    async with cloud() as (target, _):
        await target.meet()
        prompts = Prompts(target)
        text = await prompts.make(200)
        assert not prompts.exact
        assert abs(2 * len(text.split()) - 200) <= 2
        assert text.split(":")[0].isdigit()


async def test_who_cannot_be_asked_is_told_why() -> None:
    fake = Fake(Script(status=503))
    await fake.start()
    try:
        with pytest.raises(NotMeasurable, match="503"):
            await Target.of(fake).meet()
    finally:
        await fake.stop()
    with pytest.raises(NotMeasurable, match="cannot connect"):
        await Target("x", Address("http://127.0.0.1:9"), "m").meet()
