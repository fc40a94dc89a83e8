"""The one way out to engines."""

from __future__ import annotations

import json

import pytest

from penjing.engines.fake import Fake, Script
from penjing.errors import DiskFull, EngineStartFailed, InvalidRequest
from penjing.gateway.house import House, MustStay, NoSuchModel
from penjing.gateway.options import GatewayOptions

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
CHAT = "/v1/chat/completions"


async def house(*engines: Fake) -> House:
    for engine in engines:
        await engine.start()
    return House({engine.name: engine for engine in engines}, GatewayOptions())


async def test_what_must_stay_is_not_sent_away() -> None:
    cloud = Fake(name="cloud", local=False)
    here = await house(cloud, Fake(name="device"))
    with pytest.raises(MustStay) as refused:
        await here.post("cloud", CHAT, BODY, local_only=True)
    assert refused.value.status == 403
    assert cloud.requests == []
    assert await here.post("cloud", CHAT, BODY, local_only=False)
    assert await here.post("device", CHAT, BODY, local_only=True)
    await close(here)


async def test_what_leaves_is_told_before_and_may_be_kept() -> None:
    cloud = Fake(name="cloud", local=False)
    here = await house(cloud, Fake(name="device"))
    told: list[tuple[str, str, bytes, int]] = []
    full = False

    async def tell(engine: str, path: str, body: bytes) -> None:
        if full:
            raise DiskFull(path="audit", needed="1 kB", free="0 kB")
        told.append((engine, path, body, len(cloud.requests)))

    here.leaving.append(tell)
    await here.post("device", CHAT, BODY, local_only=False)
    assert told == []
    await here.post("cloud", CHAT, BODY, local_only=False)
    assert told == [("cloud", CHAT, BODY, 0)]
    with pytest.raises(MustStay):
        await here.post("cloud", CHAT, BODY, local_only=True)
    full = True
    with pytest.raises(DiskFull):
        await here.post("cloud", CHAT, BODY, local_only=False)
    assert (len(told), len(cloud.requests)) == (1, 1)
    await close(here)


async def test_the_first_engine_answers_where_none_is_named() -> None:
    here = await house(Fake(name="one"), Fake(name="two"))
    assert here.chosen("")[0] == "one"
    assert here.chosen("two")[0] == "two"
    with pytest.raises(NoSuchModel, match="three"):
        here.chosen("three")
    here.failed["two"] = EngineStartFailed(model="two", detail="why")
    with pytest.raises(EngineStartFailed):
        here.chosen("two")
    await close(here)


async def test_an_engines_refusal_is_ours() -> None:
    here = await house(Fake(Script(status=400)))
    with pytest.raises(InvalidRequest):
        await here.post("fake", CHAT, BODY, local_only=True)
    assert here.pools["fake"].active == 0
    await close(here)


async def close(here: House) -> None:
    here.close()
    for engine in here.engines.values():
        await engine.stop()
