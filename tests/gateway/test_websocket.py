"""Streams over WebSockets, with a client of somebody else's."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from gateway.running import Process, Running, Serving, until
from penjing.engines.fake import Script
from penjing.gateway.options import GatewayOptions, Limits

STREAM, CHAT = "/api/v1/stream", "/api/v1/chat-stream"


async def heard(socket: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
    """Messages up to the one that ends the stream."""
    messages: list[dict[str, Any]] = []
    async for message in socket:
        assert message.type is aiohttp.WSMsgType.TEXT
        messages.append(json.loads(message.data))
        if messages[-1].get("event") == "stream_end" or "error" in messages[-1]:
            break
    return messages


async def test_each_message_is_answered_in_messages(serving: Serving) -> None:
    async with serving() as running, running.client.ws_connect(STREAM) as socket:
        for _ in range(3):
            await socket.send_json({"prompt": "Once", "max_new_tokens": 50})
            said = await heard(socket)
            assert "".join(message.get("text", "") for message in said) == "Hello, world!"
            assert [message["message_num"] for message in said] == list(range(len(said)))
        assert len(running.engine.requests) == 3


async def test_messages_that_come_at_once_are_answered_in_order(serving: Serving) -> None:
    async with serving(Script(delay=0.01)) as running, running.client.ws_connect(CHAT) as socket:
        for number in range(3):
            await socket.send_json({"user_input": str(number)})
        for number in range(3):
            said = await heard(socket)
            assert said[-2]["history"]["internal"] == [[str(number), "Hello, world!"]]
        assert running.engine.requests[0].outcome == "done"


async def test_an_error_is_a_message(serving: Serving) -> None:
    async with serving() as running:
        for body in ("{", '{"promt": "a"}', '{"prompt": "a", "num_beams": 4}'):
            async with running.client.ws_connect(STREAM) as socket:
                await socket.send_str(body)
                (said,) = await heard(socket)
                assert said["error"]["message"]
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    async with serving(Script(die_after=2)) as running, running.client.ws_connect(STREAM) as socket:
        await socket.send_json({"prompt": "a"})
        assert (await heard(socket))[-1]["error"]["code"] == "engine_died"


async def test_who_leaves_stops_the_engine(serving: Serving) -> None:
    async with serving(Script(tokens=("a",) * 1000, delay=0.01)) as running:
        async with running.client.ws_connect(STREAM) as socket:
            await socket.send_json({"prompt": "Once", "max_new_tokens": 1000})
            await socket.receive()
        await until(lambda: running.engine.requests[0].outcome == "left", "the engine heard of it")
        await until(lambda: running.gateway.house.observed.in_flight.value() == 0, "nothing is in flight")


async def test_keys_and_other_paths(serving: Serving) -> None:
    async with serving(options=GatewayOptions(api_keys=("secret",))) as running:
        async with running.client.ws_connect(STREAM) as socket:
            await socket.send_json({"prompt": "Once"})
            assert "error" in (await heard(socket))[0]
        async with running.client.ws_connect(STREAM, headers={"Authorization": "Bearer secret"}) as socket:
            await socket.send_json({"prompt": "Once"})
            assert (await heard(socket))[-1]["event"] == "stream_end"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await running.client.ws_connect("/v1/chat/completions")


async def test_pages_of_others_are_refused(serving: Serving) -> None:
    async with serving() as running:
        async with running.client.ws_connect(STREAM, headers={"Origin": "https://elsewhere.example"}) as socket:
            await socket.send_json({"prompt": "Once"})
            (said,) = await heard(socket)
            assert said["error"]["code"] == "origin_not_allowed"
        assert running.engine.requests == []


async def test_what_is_too_large_is_refused(serving: Serving) -> None:
    limits = GatewayOptions(limits=Limits(body=1000))
    async with serving(options=limits) as running, running.client.ws_connect(STREAM) as socket:
        await socket.send_str("a" * 2000)
        closed = await socket.receive()
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1009)


async def test_broken_frames_close_it(serving: Serving) -> None:
    async with serving() as running:
        reader, writer = await opened(running)
        writer.write(b"\xff\xff\xff\xff garbage")
        assert (await asyncio.wait_for(reader.read(), 60))[:1] == b"\x88"  # a close frame
        writer.close()


async def opened(running: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await running.connect()
    lines = ("GET /api/v1/stream HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade")
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    writer.write("\r\n".join((*lines, key, "Sec-WebSocket-Version: 13", "", "")).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head  # RFC 6455, 1.3
    return reader, writer


async def test_with_the_guide(real: Process) -> None:
    async with aiohttp.ClientSession(real.url) as client, client.ws_connect(CHAT) as socket:
        await socket.send_json({"user_input": "What is quantization?", "do_sample": False, "max_new_tokens": 60})
        said = await heard(socket)
        assert "bits" in said[-2]["history"]["visible"][0][1]
