"""Tokens counted by the engine: a real one against the prompt it then reads, and engines that cannot."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import penjing
from penjing.engines.fake import Fake, Script
from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.errors import EngineError, InvalidRequest, Unsupported
from penjing.gateway.count import text_tokens, tokens
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.dialects.openai.rewrite import for_engine
from penjing.gateway.house import House, MustStay
from penjing.gateway.options import GatewayOptions

GUIDE = Path(penjing.__file__).parent / "data" / "guide" / "guide.gguf"
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("switch", "look")
]
TURNS = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello! <think> is a tag."}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guide() -> AsyncIterator[House]:
    engine = LlamaCpp(GUIDE, "guide", EngineOptions(parallel=1, max_context=512))
    await engine.start()
    house = House({"guide": engine}, GatewayOptions())
    yield house
    house.close()
    await engine.stop()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": TOOLS},
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "look"}}},
        {"enable_thinking": True},
        {"messages": [*TURNS, {"role": "assistant", "content": "Well"}]},
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_as_many_as_the_engine_then_reads(guide: House, fields: dict[str, Any]) -> None:
    body = json.dumps({"messages": TURNS, "max_tokens": 1, **fields}).encode()
    counted = await tokens(guide, "guide", body, True)
    asked = for_engine(body, parse(body, wire.ChatBody), guide.engines["guide"].capabilities)
    answer = json.loads(await guide.post("guide", "/v1/chat/completions", asked, local_only=True))
    assert counted == answer["usage"]["prompt_tokens"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_prompt_over_the_context_is_counted(guide: House) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "word " * 5000}]}).encode()
    assert await tokens(guide, "", body, True) > 5000


@pytest.mark.asyncio(loop_scope="module")
async def test_a_bare_text(guide: House) -> None:
    counted = await text_tokens(guide, "guide", "<|im_start|>user\nhi", True)
    asked = json.dumps({"prompt": "<|im_start|>user\nhi", "max_tokens": 1}).encode()
    answer = json.loads(await guide.post("guide", "/v1/completions", asked, local_only=True))
    assert counted == answer["usage"]["prompt_tokens"]


@pytest.mark.parametrize(
    ("script", "kind"),
    [(Script(status=404), Unsupported), (Script(status=400), InvalidRequest), (Script(status=500), EngineError)],
)
async def test_engines_that_do_not_count(script: Script, kind: type[Exception]) -> None:
    fake = Fake(script)
    await fake.start()
    house = House({"fake": fake}, GatewayOptions())
    try:
        with pytest.raises(kind):
            await tokens(house, "fake", json.dumps({"messages": TURNS}).encode(), False)
        with pytest.raises(kind):
            await text_tokens(house, "fake", "a text", False)
    finally:
        house.close()
        await fake.stop()


async def test_what_could_not_be_asked_is_not_counted() -> None:
    blind = Fake(Script(context=4))
    await blind.start()
    house = House({"blind": blind}, GatewayOptions())
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    try:
        with pytest.raises(Unsupported, match="images"):
            await tokens(house, "", json.dumps({"messages": [{"role": "user", "content": [picture]}]}).encode(), False)
        long = json.dumps({"messages": [{"role": "user", "content": "x" * 2000}]}).encode()
        assert await tokens(house, "", long, False) == 1
    finally:
        house.close()
        await blind.stop()


async def test_what_must_stay_is_counted_here_only() -> None:
    cloud = Fake(local=False)
    await cloud.start()
    house = House({"cloud": cloud}, GatewayOptions())
    try:
        with pytest.raises(MustStay):
            await tokens(house, "cloud", json.dumps({"messages": TURNS}).encode(), True)
        assert not cloud.requests
        assert await tokens(house, "cloud", json.dumps({"messages": TURNS}).encode(), False) > 0
    finally:
        house.close()
        await cloud.stop()
