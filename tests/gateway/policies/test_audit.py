"""Every request leaves one record, whatever becomes of it; what leaves the house is recorded before it does."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.running import Running, Serving, until, user
from penjing.engines.fake import Fake, Script
from penjing.gateway.audit.files import numbered
from penjing.gateway.audit.verify import verify
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies import audit as module
from penjing.gateway.policies.audit import Audit, AuditOptions

MARK = "a-telling-word"


def options(folder: Path, *keys: str, **fields: Any) -> GatewayOptions:
    return GatewayOptions(api_keys=keys, policies={"audit": AuditOptions(enabled=True, folder=folder, **fields)})


def policy(running: Running) -> Audit:
    (found,) = [each for each in running.gateway._policies if isinstance(each, Audit)]
    return found


async def recorded(running: Running, folder: Path) -> list[dict[str, Any]]:
    """The records of requests so far."""
    await asyncio.to_thread(policy(running).log.settle)
    every = [json.loads(line) for _, path in numbered(folder) for line in path.read_bytes().splitlines()]
    return [each for each in every if each["what"] in ("answer", "leaves")]


async def test_who_asked_what_with_which_outcome(serving: Serving, tmp_path: Path) -> None:
    async with serving(options=options(tmp_path, "secret")) as running:
        await running.chat(MARK, model="fake")
        head = {"Authorization": "Bearer secret"}
        await running.post("/v1/chat/completions", {"messages": [user(MARK)], "model": "fake"}, **head)
        await running.post("/v1/messages", {"messages": [user(MARK)], "model": "none", "max_tokens": 3}, **head)
        refused, answered, unknown = await recorded(running, tmp_path)
    assert (refused["status"], refused["code"], refused["key"], refused["model"]) == (401, "invalid_api_key", "", "")
    assert (answered["status"], answered["engine"], answered["local"]) == (200, "fake", True)
    assert answered["key"]
    assert answered["completion_tokens"] == 4
    assert (unknown["dialect"], unknown["status"], unknown["model"]) == ("anthropic", 404, "none")
    assert verify(tmp_path).faults == []
    assert MARK not in json.dumps([refused, answered, unknown])


@pytest.mark.parametrize("content", ["hash", "redacted", "full"])
async def test_content_as_configured(serving: Serving, tmp_path: Path, content: Any) -> None:
    async with serving(options=options(tmp_path, content=content)) as running:
        await running.chat(f"{MARK} li@example.com")
        await running.stream({"messages": [user(MARK)]})
        whole, stream = await recorded(running, tmp_path)
    assert (MARK in str(whole["question"])) is (content != "hash")
    assert ("li@example.com" in str(whole["question"])) is (content == "full")
    assert ("world" in str(stream["answer"])) is (content != "hash")
    if content == "hash":
        assert len(whole["question"]) == len(whole["answer"]) == 64


async def test_broken_and_left_ones_too(serving: Serving, tmp_path: Path) -> None:
    async with serving(Script(die_after=2), options(tmp_path)) as running:
        await running.stream({"messages": [user("hi")]})
        running.engine.script = Script(delay=60)
        asking = asyncio.create_task(running.chat())
        await until(lambda: len(running.engine.requests) == 2, "asked")
        asking.cancel()
        await until(lambda: running.engine.left == 1, "the engine notices")
        await until(lambda: running.gateway.house.observed.in_flight.value() == 0, "it is over")
        broken, left = await recorded(running, tmp_path)
    assert (broken["status"], broken["code"]) == (200, "engine_died")
    assert left["status"] == 499


async def test_what_leaves_is_recorded_first(serving: Serving, tmp_path: Path) -> None:
    engines = {"cloud": Fake(name="cloud", local=False)}
    async with serving(options=options(tmp_path), engines=engines) as running:
        while not await engines["cloud"].ready():
            await asyncio.sleep(0.01)
        await running.chat(MARK)
        leaves, answer = await recorded(running, tmp_path)
    assert (leaves["what"], leaves["engine"]) == ("leaves", "cloud")
    assert answer["local"] is False
    assert MARK not in json.dumps(leaves)


async def test_it_is_on_by_itself_where_something_may_leave(serving: Serving) -> None:
    async with serving(engines={"cloud": Fake(name="cloud", local=False)}) as running:
        assert policy(running)
    async with serving() as running:
        assert not [each for each in running.gateway._policies if isinstance(each, Audit)]


async def test_two_servers_on_one_home_write_two_logs(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))
    both = GatewayOptions(policies={"audit": AuditOptions(enabled=True)})
    async with serving(options=both) as one, serving(options=both) as two:
        await one.chat()
        await two.chat()
    assert [verify(tmp_path / name).records for name in ("audit", "audit-2")] == [3, 3]


@pytest.mark.parametrize("when_full", ["refuse", "continue"])
async def test_a_full_disk(serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when_full: Any) -> None:
    monkeypatch.setattr("penjing.gateway.audit.log.AGAIN", 0.05)
    cloud = Fake(name="cloud", local=False)
    async with serving(options=options(tmp_path, when_full=when_full), engines={"cloud": cloud}) as running:
        while not await cloud.ready():
            await asyncio.sleep(0.01)
        log = policy(running).log
        real = log._write

        def refuse(new: list[bytes]) -> None:
            if new:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(log, "_write", refuse)
        for _ in range(2):  # the first finds out, the second is told at once
            status, said = await running.chat()
            assert (status, said.get("error", {}).get("code")) == (
                (503, "audit_unavailable") if when_full == "refuse" else (200, None)
            )
        assert len(cloud.requests) == (0 if when_full == "refuse" else 2)
        monkeypatch.setattr(log, "_write", real)
        while log.failing:
            await asyncio.sleep(0.01)
        assert (await running.chat())[0] == 200
    assert verify(tmp_path).faults == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    from penjing.gateway.app import Gateway

    (tmp_path / "file").write_text("")
    with pytest.raises(module.AuditUnavailable):
        Gateway({"fake": Fake()}, options(tmp_path / "file"))
