"""Against real HTTP servers on loopback: one per way a server may answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from penjing.engines import remote
from penjing.engines.remote import Foreign, KeyRefused, ModelNotOffered, Remote, Unreachable
from penjing.errors import EngineLoading, SettingError

KEY = "sk-very-secret"


@asynccontextmanager
async def office(handler: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    """The URL of a server whose /v1/models is `handler`."""
    app = web.Application()
    app.router.add_get("/v1/models", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def offering(*entries: dict[str, Any]) -> Callable[[web.Request], Any]:
    async def models(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"error": {"message": "who are you?"}}, status=401)
        return web.json_response({"object": "list", "data": list(entries)})

    return models


QWEN = {"id": "Qwen/Qwen3-8B", "object": "model", "max_model_len": 40960}  # as vLLM lists it
LLAMA = {"id": "llama", "object": "model", "meta": {"n_ctx": 4096}}  # as llama.cpp does


async def test_life() -> None:
    async with office(offering(QWEN)) as url:
        one = Remote(url + "/v1/", "office", KEY)
        with pytest.raises(EngineLoading):
            _ = one.address
        await one.start()
        assert await one.ready()
        assert one.address.url == url
        assert one.address.headers == {"Authorization": f"Bearer {KEY}"}
        assert one.name == "office"
        assert (one.capabilities.model, one.capabilities.context) == ("Qwen/Qwen3-8B", 40960)
        await one.stop()
        assert not await one.ready()


async def test_one_of_several_models() -> None:
    async with office(offering(QWEN, LLAMA)) as url:
        by_name, named = Remote(url, "llama", KEY), Remote(url, "office", KEY, model="llama")
        for one in (by_name, named):
            await one.start()
            assert (one.capabilities.model, one.capabilities.context) == ("llama", 4096)
        with pytest.raises(ModelNotOffered) as caught:
            await Remote(url, "office", KEY).start()
        assert caught.value.advice("en") == "It offers: Qwen/Qwen3-8B, llama"


async def test_a_key_that_is_not_known() -> None:
    async with office(offering(QWEN)) as url:
        one = Remote(url, "office", "sk-wrong-key")
        with pytest.raises(KeyRefused) as caught:
            await one.start()
        assert "sk-wrong-key" not in str(caught.value) + caught.value.advice()
        assert not await one.ready()


async def test_a_server_that_is_not_there() -> None:
    async with office(offering(QWEN)) as url:
        pass
    with pytest.raises(Unreachable) as caught:
        await Remote(url, "office", KEY).start()
    assert f"curl {url}/v1/models" in caught.value.advice("en")


async def test_a_server_that_stops_answering(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    monkeypatch.setattr(remote, "PATIENCE", 0.2)
    async with office(silent) as url:
        with pytest.raises(Unreachable, match="no answer"):
            await Remote(url, "office").start()


@pytest.mark.parametrize(
    ("status", "text"),
    [(404, "{}"), (500, "oops"), (200, "<html>"), (200, "[]"), (200, '{"data": 3}'), (200, '{"data": [{}]}')],
)
async def test_a_server_of_another_kind(status: int, text: str) -> None:
    async def strange(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    async with office(strange) as url:
        with pytest.raises(Foreign):
            await Remote(url, "office").start()


async def test_its_end_is_not_ours_to_see() -> None:
    waiting = asyncio.create_task(Remote("http://127.0.0.1:9", "office").ended())
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    waiting.cancel()


def test_the_key_is_not_shown() -> None:
    one = Remote("http://office:8000", "office", KEY)
    assert KEY not in repr(one)
    assert KEY not in repr(remote.Address("http://office:8000", headers={"Authorization": KEY}))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://office:8000", "http://office:8000"),
        ("https://cloud.example/api/v1/", "https://cloud.example/api"),
        ("http://office:8000/", "http://office:8000"),
    ],
)
def test_base(given: str, kept: str) -> None:
    assert remote.base(given) == kept


WRONG = ["", "office:8000", "ftp://office", "http://", "./model.gguf", "http://a:x", "http://a/b c", "http://a/v1?k=1"]


@pytest.mark.parametrize("given", WRONG)
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(SettingError):
        Remote(given, "office")


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingError) as caught:
        Remote("https://me:hunter2@office", "office")
    assert "hunter2" not in str(caught.value)


def test_a_key_out_of_a_file() -> None:
    assert Remote("http://office", "office", KEY + "\n")._headers == {"Authorization": f"Bearer {KEY}"}
    for key in ("a\r\nX: y", "ключ"):
        with pytest.raises(SettingError) as caught:
            Remote("http://office", "office", key)
        assert key not in str(caught.value)


async def test_it_is_asked_the_way_requests_will_go(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with office(offering(QWEN)) as url:
        one = Remote(url, "office", KEY)
        await one.start()
        assert await one.ready()


async def test_a_server_that_points_elsewhere() -> None:
    async def moved(request: web.Request) -> web.Response:
        raise web.HTTPPermanentRedirect("https://elsewhere.example/v1/models")

    async with office(moved) as url:
        with pytest.raises(Foreign, match="308"):
            await Remote(url, "office", KEY).start()
