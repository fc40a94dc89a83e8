"""A gateway in front of a remote engine: another gateway, with a key."""

from __future__ import annotations

import pytest

from gateway.running import Serving, until, user
from penjing.engines.fake import Script
from penjing.engines.remote import Remote
from penjing.gateway.options import GatewayOptions

KEY = GatewayOptions(api_keys=("secret",))
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


async def test_a_remote_engine(serving: Serving) -> None:
    async with serving(options=KEY) as there:
        engines = {"cloud": Remote(there.url, "cloud", key="secret")}
        async with serving(engines=engines) as here:
            await until(lambda: len(here.said) > 1, "ready")
            status, body = await here.chat(model="cloud")
            assert status == 200
            assert body["choices"][0]["message"]["content"] == "Hello, world!"
            assert there.engine.requests[-1].body["model"] == "fake"
            stream = await here.stream({"messages": [user("hi")]})
            assert stream.endswith("data: [DONE]\n\n")
            assert (await here.post("/v1/embeddings", {"input": "x"}))[0] == 200
            for _ in range(3):
                await here.chat()
            (link,) = here.gateway.house.pools["cloud"]._idle
            assert link.used == 6


async def test_what_it_cannot_do_it_says_itself(serving: Serving) -> None:
    async with (
        serving(options=KEY) as there,
        serving(engines={"cloud": Remote(there.url, "cloud", key="secret")}) as here,
    ):
        await until(lambda: len(here.said) > 1, "ready")
        status, body = await here.chat([IMAGE])
    assert status == 400
    assert "does not support images" in body["error"]["message"]


@pytest.mark.parametrize("after", [None, 2])
async def test_it_dies_in_a_stream(serving: Serving, after: int | None) -> None:
    script = Script(tokens=("x ",) * 300, delay=0.01, die_after=after)
    async with (
        serving(script, options=KEY) as there,
        serving(engines={"cloud": Remote(there.url, "cloud", key="secret")}) as here,
    ):
        await until(lambda: len(here.said) > 1, "ready")
        body = {"messages": [user("hi")], "stream": True}
        async with here.client.post("/v1/chat/completions", json=body) as answer:
            await answer.content.readline()
            if after is None:
                there.task.cancel()
            rest = await answer.text()
    assert "engine_died" in rest
    assert "[DONE]" not in rest
