"""A fake engine for the gateway's bench: prebuilt bytes over httptools, as fast as Python can answer.

    python bench/upstream.py          prints its port, serves on 127.0.0.1 until it is ended

`max_tokens` of a question is the number of events of a stream, `seed` the milliseconds between two of them: both are
OpenAI's own fields, so every gateway hands them on.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
from typing import Any, cast

import httptools

STREAM = re.compile(rb'"stream"\s*:\s*true')
EVENTS = re.compile(rb'"max_tokens"\s*:\s*(\d+)')
PACE = re.compile(rb'"seed"\s*:\s*(\d+)')
MODEL = "fake"
WORDS = "A model of seven billion parameters needs about four gigabytes at four bits, and a little more to think. "
HEAD: dict[str, Any] = {"id": "chatcmpl-fake", "created": 1_700_000_000, "model": MODEL}
USAGE = {"prompt_tokens": 64, "completion_tokens": 64, "total_tokens": 128}
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def body(answer: dict[str, Any]) -> bytes:
    """A whole answer with its head."""
    text = json.dumps(answer).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)


def chunk(choice: dict[str, Any]) -> bytes:
    """One event as a chunk of the body."""
    event = {**HEAD, "object": "chat.completion.chunk", "choices": [{"index": 0, "finish_reason": None, **choice}]}
    data = b"data: %b\n\n" % json.dumps(event).encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


MESSAGE = {"role": "assistant", "content": WORDS * 3}
WHOLE = body(
    {
        **HEAD,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
        "usage": USAGE,
    }
)
MODELS = body({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "bench"}]})
FIRST = STREAM_HEAD + chunk({"delta": {"role": "assistant", "content": ""}})
TOKEN = chunk({"delta": {"content": " token"}})
DONE = b"data: [DONE]\n\n"
LAST = chunk({"delta": {}, "finish_reason": "stop"}) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(DONE), DONE)


def number(pattern: re.Pattern[bytes], text: bytes, default: int) -> int:
    found = pattern.search(text)
    return int(found[1]) if found else default


class Connection(asyncio.Protocol):
    """One connection; also the callbacks of its parser."""

    def __init__(self) -> None:
        self.transport = cast(asyncio.Transport, None)
        self.parser = httptools.HttpRequestParser(self)
        self.question = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self.question = self.question + data if self.question else data

    def on_message_complete(self) -> None:
        asked, self.question = self.question, b""
        if not asked:
            self.transport.write(MODELS)
        elif not STREAM.search(asked):
            self.transport.write(WHOLE)
        else:
            self.transport.write(FIRST)
            self.token(number(EVENTS, asked, 16), number(PACE, asked, 0) / 1000)

    def token(self, left: int, pace: float) -> None:
        if self.transport.is_closing():
            return
        if not left:
            self.transport.write(LAST)
            return
        self.transport.write(TOKEN)
        asyncio.get_running_loop().call_later(pace, self.token, left - 1, pace)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, ended.set)
    await ended.wait()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())
