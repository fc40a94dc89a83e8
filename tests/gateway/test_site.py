"""The page at `/`: who gets it, in which coding, and what a browser may keep."""

from __future__ import annotations

import gzip

import pytest

from gateway.running import Serving
from penjing.export.page import built
from penjing.gateway.options import GatewayOptions

PAGE = {"Accept": "text/html,application/xhtml+xml"}


async def test_a_browser_gets_the_page_and_others_what_they_ask(serving: Serving) -> None:
    async with serving() as running:
        async with running.client.get("/", headers=PAGE) as answer:
            assert answer.status == 200
            assert answer.content_type == "text/html"
            assert "<title>penjing</title>" in await answer.text()
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
            assert answer.headers["Cache-Control"] == "no-cache"
        async with running.client.get("/") as answer:
            assert (await answer.json())["message"] == "penjing is running"


async def test_the_page_is_open_where_keys_are_needed(serving: Serving) -> None:
    async with serving(options=GatewayOptions(api_keys=("secret",))) as running:
        async with running.client.get("/", headers=PAGE) as answer:
            assert answer.status == 200
        async with running.client.get("/v1/models") as answer:
            assert answer.status == 401


async def test_what_changes_its_name_is_kept_for_ever_and_the_rest_is_asked_for_again(serving: Serving) -> None:
    async with serving() as running:
        for asset in built().assets:
            if asset.name.startswith("wasm/"):
                continue
            async with running.client.get("/" + asset.name) as answer:
                assert answer.status == 200
                assert await answer.read() == asset.plain()
                kept = answer.headers["Cache-Control"]
                assert ("immutable" in kept) == asset.name.startswith("assets/")
                tag = answer.headers["ETag"]
            async with running.client.get("/" + asset.name, headers={"If-None-Match": tag}) as answer:
                assert answer.status == 304
                assert await answer.read() == b""


@pytest.mark.parametrize("accepted", ["gzip", "br, gzip", "identity", "gzip;q=0"])
async def test_the_coding_is_one_that_the_browser_takes(serving: Serving, accepted: str) -> None:
    (script,) = (asset for asset in built().assets if asset.name.startswith("assets/page-") and "script" in asset.type)
    async with serving() as running:
        target = running.client.get("/" + script.name, headers={"Accept-Encoding": accepted}, auto_decompress=False)
        async with target as answer:
            body = await answer.read()
            coding = answer.headers.get("Content-Encoding", "")
    if coding == "br":
        assert (accepted, body) == ("br, gzip", script.brotli())
    elif coding == "gzip":
        assert accepted == "gzip"
        assert gzip.decompress(body) == script.plain()
    else:
        assert body == script.plain()


async def test_only_reading_is_the_page_s(serving: Serving) -> None:
    async with serving() as running:
        async with running.client.post("/", headers=PAGE) as answer:
            assert answer.status == 405
        async with running.client.get("/assets/nothing.js") as answer:
            assert answer.status == 404
        async with running.client.head("/", headers=PAGE) as answer:
            assert answer.status == 200
            assert await answer.read() == b""
