"""The page at `/`: who gets it, in which coding, and what a browser may keep."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from gateway.running import Serving
from penjing.export.offer import offer
from penjing.export.page import built
from penjing.gateway.options import GatewayOptions
from tiny_model import write_tiny_gguf

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


async def test_a_model_comes_from_where_the_browser_has_it_already(serving: Serving) -> None:
    async with serving() as running:
        (model,) = (await running.get("/site.json"))[1]["models"]
        async with running.client.get("/" + model["file"]) as answer:
            whole = await answer.read()
        async with running.client.get("/" + model["file"], headers={"Range": "bytes=6000000-"}) as answer:
            assert answer.status == 206
            assert answer.headers["Content-Range"] == f"bytes 6000000-{len(whole) - 1}/{len(whole)}"
            assert await answer.read() == whole[6000000:]
        for asked in ("bytes=-5", f"bytes={len(whole)}-", "bytes=1-2,4-5"):
            async with running.client.get("/" + model["file"], headers={"Range": asked}) as answer:
                assert answer.status == 416
        async with running.client.get("/models/other.gguf") as answer:
            assert answer.status == 404
    assert (len(whole), hashlib.sha256(whole).hexdigest()) == (model["bytes"], model["sha256"])


async def test_a_model_of_one_s_own_needs_the_key(serving: Serving, tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    write_tiny_gguf(path)
    own = offer(path, "own model")
    async with serving(options=GatewayOptions(api_keys=("secret",), offers=(own,))) as running:
        site = (await running.get("/site.json"))[1]
        assert [model["name"] for model in site["models"]] == ["own model", "guide"]
        async with running.client.get("/" + own.file) as answer:
            assert answer.status == 401
        async with running.client.get("/" + own.file, headers={"Authorization": "Bearer secret"}) as answer:
            assert await answer.read() == path.read_bytes()
