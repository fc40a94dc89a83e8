"""Canaries in a real gateway, with engines that say what they are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from gateway.running import Running, Serving, until, user
from penjing.engines.fake import Fake, Script
from penjing.errors import EngineStartFailed, ModelNotFound
from penjing.gateway.audit.export import records
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies.audit import AuditOptions
from penjing.manifest import Manifest
from penjing.operate.release import kept, trial
from penjing.operate.release.trial import Place
from penjing.operate.release.trials import Trials
from penjing.store import channels
from penjing.store.channels import Decision, Trial
from penjing.store.version import Version
from penjing.store.versions import Store

CHAT = "/v1/chat/completions"
WELL = Script(tokens=("Paris", " is", " the", " capital", " of", " France", ",", " of", " course", "."))


@dataclass
class Scene:
    """A gateway that serves `m`, whose version 1 is stable and 2 is to be tried with the script `new`."""

    running: Running
    trials: Trials
    store: Store
    folder: Path
    new: Script
    made: list[Fake] = field(default_factory=list)
    told: list[Decision] = field(default_factory=list)

    def make(self, version: Version, name: str) -> Fake:
        self.made.append(Fake(self.new, name))
        return self.made[-1]

    async def follow(self) -> None:
        await self.trials.follow("m", "m", self.make)

    async def begin(self, **how: Any) -> None:
        """Try version 2 until it gets its share."""
        asked = {"share": 0.5, "conversations": 40, "yardstick": "none", "worse": {"ttft": 50.0, "tokens": 50.0}, **how}
        chosen = Trial(2, datetime.now(timezone.utc), **asked)
        channels.try_out(self.store, self.store.find("m@2"), chosen)
        await self.follow()
        splits = self.running.gateway.house.arms.splits
        await until(lambda: "m" in splits or bool(self.told), "it gets its share")

    async def talk(self, most: int = 400) -> int:
        """Conversations of one question each until something is decided; how many."""
        for number in range(most):
            if self.told:
                return number
            await self.say(str(number))
        return most

    async def say(self, conversation: str, rating: str = "") -> str:
        """One answer, and what a person thinks of it; its arm."""
        body = {"messages": [user("hi")], "stream": True}
        headers = {"x-penjing-conversation": conversation}
        async with self.running.client.post(CHAT, json=body, headers=headers) as answer:
            await answer.read()
            if rating:
                await self.running.post("/v1/feedback", {"id": answer.headers["x-penjing-answer"], "rating": rating})
            return answer.headers.get("x-penjing-arm", "")

    def yardstick(self, **question: Any) -> str:
        path = self.folder / "yardstick.jsonl"
        line = {"question": "What is the capital of France?", "key": [["Paris"]], **question}
        path.write_text((json.dumps(line) + "\n") * 40, encoding="utf-8")
        return str(path)


@asynccontextmanager
async def scene(serving: Serving, folder: Path, new: Script, stable: Script = WELL) -> AsyncIterator[Scene]:
    store = Store(folder / "store")
    for number in (1, 2):
        path = folder / f"{number}.gguf"
        path.write_bytes(b"GGUF" + bytes([number]) * 100)
        store.add({"m.gguf": path}, Manifest(name="m", version=""))
    store.tag("m", "stable", "m@1")
    options = GatewayOptions(released=("m",))
    async with serving(options=options, engines={"m": Fake(stable, "m")}) as running:
        await until(lambda: len(running.said) > 1, "ready")
        made = Scene(running, Any, store, folder, new)  # type: ignore[arg-type]  # the next line gives it
        place = Place(running.gateway.house, store, AuditOptions(), lambda name, decision: made.told.append(decision))
        made.trials = Trials(place)
        try:
            yield made
        finally:
            await made.trials.close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("new", "gate"),
    [
        (Script(status=500), "errors"),
        (Script(die_after=2), "errors"),
        (Script(tokens=("I", "'m sorry", ", but I can't", " help with that.")), "refusals"),
        (Script(tokens=WELL.tokens, first_delay=0.2), "ttft"),
        (Script(tokens=WELL.tokens, delay=0.02), "tokens"),
    ],
    ids=["broken", "dies", "refuses", "begins late", "slow"],
)
async def test_a_worse_canary_is_rolled_back(
    serving: Serving, tmp_path: Path, home: Path, new: Script, gate: str
) -> None:
    async with scene(serving, tmp_path, new) as at:
        await at.begin(worse={"ttft": 2.0, "tokens": 2.0})
        await at.talk()
        (decision,) = at.told
        assert (decision.what, decision.by, decision.number) == ("rolled_back", "gates", 2)
        assert decision.numbers["refusing"] == [gate]
        assert decision.numbers["conversations"]["canary"] <= 40  # type: ignore[index]  # plain data
        assert channels.stable(at.store, "m").number == 1
        assert await at.say("afterwards") == ""  # nobody is split any more
        await at.follow()
        assert list(at.running.gateway.engines) == ["m"]
        assert not await at.made[0].ready()
    (said,) = [each for each in records([home / "audit"]) if each["what"] == "release"]
    assert (said["decision"], said["version"], said["model"]) == ("rolled_back", "m@2", "m")
    assert said["numbers"] == decision.numbers
    assert gate in said["why"]


async def test_one_that_people_do_not_like_is_rolled_back(serving: Serving, tmp_path: Path) -> None:
    async with scene(serving, tmp_path, WELL) as at:
        await at.begin()
        for number in range(80):
            arm = await at.say(str(number))
            await at.say(str(number), "down" if arm == "canary" else "up")
            if at.told:
                break
        assert at.told[0].numbers["refusing"] == ["thumbs"]


async def test_one_that_knows_less_is_rolled_back_without_anybody_asking(serving: Serving, tmp_path: Path) -> None:
    async with scene(serving, tmp_path, Script(tokens=("It", " is", " Lyon", "."))) as at:
        await at.begin(yardstick=at.yardstick())
        await until(lambda: bool(at.told), "decided")
        assert at.told[0].numbers["refusing"] == ["yardstick"]


async def test_a_better_one_is_promoted_after_its_conversations(serving: Serving, tmp_path: Path) -> None:
    async with scene(serving, tmp_path, WELL, stable=Script(tokens=("It", " is", " Lyon", "."))) as at:
        await at.begin(yardstick=at.yardstick())
        await until(lambda: not at.trials._running["m"].judge.waits, "measured")  # type: ignore[union-attr]  # alone
        assert not at.told
        await at.talk()
        (decision,) = at.told
        assert (decision.what, decision.numbers["refusing"]) == ("promoted", [])
        assert decision.numbers["conversations"]["canary"] == 40  # type: ignore[index]  # plain data
        assert channels.stable(at.store, "m").number == 2
        # until the new version is in its place, the canary keeps its conversations
        assert "canary" in {await at.say(str(number)) for number in range(20)}


async def test_it_gets_no_more_conversations_than_it_may_while_the_yardstick_is_not_done(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()

    async def slowly(*given: Any) -> AsyncIterator[tuple[bool, bool]]:
        await go_on.wait()
        yield True, True

    monkeypatch.setattr(trial, "asked", slowly)
    async with scene(serving, tmp_path, WELL) as at:
        await at.begin(conversations=20, yardstick="")
        arms = [await at.say(str(number)) for number in range(80)]
        assert arms.count("canary") == 20
        assert not at.told
        go_on.set()
        await until(lambda: bool(at.told), "decided")
        assert at.told[0].what == "promoted"


@pytest.mark.parametrize("fault", [Script(start_error=EngineStartFailed(model="m", detail="no room"))])
async def test_one_that_does_not_start_is_rolled_back(serving: Serving, tmp_path: Path, fault: Script) -> None:
    async with scene(serving, tmp_path, fault) as at:
        channels.try_out(at.store, at.store.find("m@2"), Trial(2, datetime.now(timezone.utc)))
        await at.follow()
        await until(lambda: bool(at.told), "decided")
        assert "no room" in at.told[0].why
        assert channels.canary(at.store, "m") is None
        assert list(at.running.gateway.engines) == ["m"]


async def test_one_that_may_not_be_loaded_is_rolled_back(serving: Serving, tmp_path: Path) -> None:
    async with scene(serving, tmp_path, WELL) as at:

        def refused(version: Version, name: str) -> Fake:
            raise ModelNotFound(model=str(version))

        channels.try_out(at.store, at.store.find("m@2"), Trial(2, datetime.now(timezone.utc)))
        await at.trials.follow("m", "m", refused)
        await until(lambda: bool(at.told), "decided")
        assert "m@2" in at.told[0].why
        await at.follow()
        assert list(at.running.gateway.engines) == ["m"]


async def test_what_was_seen_outlives_the_server(serving: Serving, tmp_path: Path) -> None:
    """A canary is not given a second chance by a restart, nor does it begin again."""
    async with scene(serving, tmp_path, WELL) as at:
        await at.begin()
        arms = [await at.say(str(number)) for number in range(30)]
        await at.trials.close()
        tried = channels.canary(at.store, "m")
        assert tried is not None
        judge, when = kept.resumed(at.store, "m", tried[1])
        assert when is not None
        assert judge.conversations == {"canary": arms.count("canary"), "stable": arms.count("stable")}
        await at.follow()
        await until(lambda: "m" in at.running.gateway.house.arms.splits, "it goes on")
        assert [await at.say(str(number)) for number in range(30)] == arms
        await at.trials.close()
        assert kept.resumed(at.store, "m", tried[1])[0].conversations == judge.conversations


async def test_a_person_may_be_quicker(serving: Serving, tmp_path: Path) -> None:
    async with scene(serving, tmp_path, Script(status=500)) as at:
        await at.begin()
        channels.promote(at.store, at.store.find("m@2"))
        await at.talk(60)
        assert at.told == []
        assert channels.stable(at.store, "m").number == 2
        await at.follow()
        assert at.running.gateway.house.arms.splits == {}


async def test_of_two_servers_one_judges(serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "KEEP", 0.05)
    async with scene(serving, tmp_path, WELL) as at:
        with kept.alone(at.store, "m") as first:
            assert first
            await at.begin()
            assert not at.running.gateway.house.arms.splits["m"].judged
            assert {await at.say(str(number)) for number in range(30)} == {"canary", "stable"}
        await until(lambda: at.running.gateway.house.arms.splits["m"].judged, "it takes over")


async def test_another_canary_takes_the_place_of_one(serving: Serving, tmp_path: Path) -> None:
    async with scene(serving, tmp_path, WELL) as at:
        await at.begin()
        streaming = asyncio.create_task(at.say("x"))
        await streaming
        channels.rollback(at.store, "m")
        await at.begin(share=0.9)
        assert [await fake.ready() for fake in at.made] == [False, True]
        assert at.running.gateway.house.arms.splits["m"].share == 0.9
