from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from penjing.engines.engine import Address
from penjing.operate.measure.wire import Connection, Heard, events, request

TEXT = b'data: {"a": 1}\n\ndata: {"b": "\xe6\x9d\xbe"}\n\n: a comment\ndata: [DONE]\n\n'


@given(st.lists(st.integers(0, len(TEXT)), max_size=12))
def test_events_do_not_depend_on_where_pieces_were_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(TEXT)]
    pieces = [(float(place), TEXT[low:high]) for place, (low, high) in enumerate(pairwise(edges))]
    assert [event for _, event in events(Heard(pieces=pieces))] == [{"a": 1}, {"b": "松"}]


@given(st.binary())
def test_any_bytes_are_no_events_rather_than_an_exception(body: bytes) -> None:
    assert all(isinstance(event, dict) for _, event in events(Heard(pieces=[(0.0, body)])))


def test_an_event_counts_from_its_last_byte() -> None:
    heard = Heard(pieces=[(1.0, b'data: {"a":'), (2.0, b" 1}\n\n")])
    assert events(heard) == [(2.0, {"a": 1})]


def test_a_request_keeps_the_path_of_the_address_and_its_key() -> None:
    asked = request(Address("https://cloud.example/api", headers={"Authorization": "Bearer k"}), "/v1/x", {"q": "松"})
    head, _, body = asked.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v1/x HTTP/1.1\r\nHost: cloud.example\r\n")
    assert b"Authorization: Bearer k" in head
    assert f"Content-Length: {len(body)}".encode() in head


async def ask_of(server_says: bytes, *, seconds: float = 5.0, close: bool = True) -> Heard:
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(server_says)
        await writer.drain()
        if not close:
            await reader.read()
        writer.close()
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1")
    async with server:
        address = Address(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        line = Connection(address)
        heard = await line.ask(request(address, "/", {}), seconds)
        line.close()
        await over.wait()
        return heard


def test_what_breaks_off_or_is_no_http_is_told() -> None:
    whole = asyncio.run(ask_of(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    assert (whole.status, whole.body, whole.error) == (200, b"ok", "")
    assert asyncio.run(ask_of(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")).error == "the connection broke off"
    assert asyncio.run(ask_of(b"SSH-2.0-server\r\n\r\n")).error.startswith("not HTTP")
    assert "no end" in asyncio.run(ask_of(b"HTTP/1.1 200 OK\r\n", seconds=0.05, close=False)).error


def test_nobody_there_is_an_error_of_the_answer() -> None:
    async def ask() -> Heard:
        return await Connection(Address("http://127.0.0.1:9")).ask(b"", 1.0)

    assert asyncio.run(ask()).error.startswith("cannot connect")
