"""Binding, starting, stopping."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import ExitStack
from typing import Any

import pytest

from gateway.running import Held, Serving, until, user
from penjing.engines.fake import Fake, Script
from penjing.errors import PortInUse
from penjing.gateway.app import Gateway
from penjing.gateway.options import GatewayOptions
from penjing.gateway.serve import CannotBind, Said, bind, run, serve, url_of


def test_a_port_in_use_names_a_free_one() -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse) as caught:
            bind("127.0.0.1", port)
    free = caught.value.facts["free"]
    assert caught.value.facts["port"] == port
    assert isinstance(free, int)
    with bind("127.0.0.1", free):
        pass


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no.such.host.invalid", 80), ("127.0.0.1", 99_999)])
def test_addresses_that_are_not_ours(host: str, port: int) -> None:
    with pytest.raises(CannotBind):
        bind(host, port)


def test_urls() -> None:
    with bind("0.0.0.0", 0) as everywhere, bind("localhost", 0) as here:
        assert url_of(everywhere).startswith("http://127.0.0.1:")
        assert url_of(here).startswith("http://")
    if socket.has_ipv6:
        with bind("::1", 0) as six:
            assert url_of(six).startswith("http://[::1]:")


@pytest.mark.parametrize(
    ("host", "keys", "is_open"), [("0.0.0.0", (), True), ("0.0.0.0", ("k",), False), ("127.0.0.1", (), False)]
)
async def test_being_open_to_everybody_is_told(host: str, keys: tuple[str, ...], is_open: bool) -> None:
    said: list[Said] = []
    gateway = Gateway({"fake": Fake()}, GatewayOptions(api_keys=keys))
    task = asyncio.create_task(serve(gateway, bind(host, 0), announce=said.append))
    await until(lambda: bool(said), "listening")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert said[0].open is is_open


async def test_the_first_signal_drains_and_engines_are_stopped(serving: Serving) -> None:
    engine = Held()
    async with serving(engine) as running:
        streaming = asyncio.create_task(running.stream({"messages": [user("hi")]}))
        await until(lambda: bool(engine.requests), "a stream")
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: len(running.said) > 2, "draining")
        with pytest.raises(ConnectionRefusedError):
            await running.connect()
        engine.go_on.set()
        assert (await streaming).endswith("data: [DONE]\n\n")
        await asyncio.wait_for(running.task, 60)
        assert not await running.engine.ready()
        assert running.said[2] == Said("draining", running.url, left=1)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_the_second_signal_cuts(serving: Serving) -> None:
    async with serving(Script(tokens=("x ",) * 3000, delay=0.02)) as running:
        streaming = asyncio.create_task(running.stream({"messages": [user("hi")]}))
        await until(lambda: any(one.tokens for one in running.engine.requests), "a stream")
        for count in (3, 4):
            os.kill(os.getpid(), signal.SIGINT)
            await until(lambda count=count: len(running.said) >= count, "told")  # type: ignore[misc]
        await asyncio.wait_for(running.task, 60)
        assert running.said[-1].event == "cut"
        with pytest.raises(Exception, match="payload"):
            await streaming


def test_run_from_a_plain_program() -> None:
    said: list[Any] = []

    def announce(what: Said) -> None:
        said.append(what.event)
        if what.event == "ready":
            os.kill(os.getpid(), signal.SIGTERM)

    run(Gateway({"fake": Fake()}), port=0, announce=announce)
    assert said == ["listening", "ready", "draining"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel's own limit is lower")
async def test_a_crowd_may_knock_at_once(serving: Serving) -> None:
    async with serving() as running:
        with ExitStack() as crowd:
            for _ in range(500):  # nobody accepts meanwhile: they wait in the kernel's line, which must be long enough
                crowd.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=20))
            assert (await running.chat())[0] == 200
        await until(lambda: not running.gateway.house.observed.in_flight.value(), "they are gone")
