"""Real servers that are replaced under a real load."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from gateway.running import Process, finish, launch, until
from operate.living import ask
from penjing.operate.succession import running
from penjing.store.resolve import guide

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="a server hands nothing over on Windows")
OPTIONS = ("--parallel", "2", "--max-context", "256", "--threads", "1")
PATIENCE = 60


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))
    monkeypatch.setenv("PENJING_LANGUAGE", "en")
    return tmp_path


@pytest.fixture
def server(home: Path) -> Iterator[Process]:
    found = launch(*OPTIONS)
    try:
        yield found
    finally:
        finish(found)
        assert not running.every()  # the last one took its file away, and is gone when the first one is


def restart(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penjing", "restart", *words], capture_output=True, text=True, timeout=PATIENCE
    )


async def asking(url: str, stop: asyncio.Event, heard: list[str], *, keep: bool) -> None:
    """Ask on and on, over one connection or a new one each time."""
    connector = aiohttp.TCPConnector(force_close=not keep)
    async with aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(PATIENCE)) as client:
        while not stop.is_set():
            heard.append(await ask(client, max_tokens=24))


async def replaced(server: Process, times: int, clients: int) -> list[list[str]]:
    """What clients heard while the server was replaced so often; the first that is refused or cut raises."""
    stop = asyncio.Event()
    heard: list[list[str]] = [[] for _ in range(clients)]
    tasks = [
        asyncio.create_task(asking(server.url, stop, each, keep=number % 2 == 0)) for number, each in enumerate(heard)
    ]
    seen = {server.process.pid}
    for _ in range(times):
        done = await asyncio.to_thread(restart)
        assert done.returncode == 0, done.stderr
        (now,) = running.every()
        assert now.pid not in seen
        assert now.url == server.url
        seen.add(now.pid)
        since = [len(each) for each in heard]
        while any(len(each) == before for each, before in zip(heard, since, strict=True)):
            await asyncio.sleep(0.01)
            assert not any(task.done() for task in tasks), [task.exception() for task in tasks if task.done()]
    stop.set()
    await asyncio.gather(*tasks)
    return heard


async def test_nobody_is_refused_and_nothing_is_cut(server: Process) -> None:
    heard = await replaced(server, 2, 4)
    assert len({text for each in heard for text in each}) == 1
    assert server.process.poll() is None  # for who started it nothing has ended


@pytest.mark.extras  # twenty starts of a server
async def test_again_and_again(server: Process) -> None:
    await replaced(server, 20, 16)


def test_one_that_cannot_start_leaves_the_old_one(home: Path) -> None:
    model = home / "model.gguf"
    shutil.copy(guide(), model)
    server = launch(*OPTIONS, model=str(model))
    try:
        model.rename(home / "elsewhere.gguf")  # its worker has it open
        model.write_bytes(b"GGUF, but no more")
        done = restart()
        assert done.returncode == 5
        assert "The new server could not start, the old one goes on: " in done.stderr
        (now,) = running.every()
        assert now.pid == server.process.pid
        assert now.tried.state == "failed"
        assert asyncio.run(answer(server.url))
        model.unlink()
        (home / "elsewhere.gguf").rename(model)
        assert restart(str(now.port), "--json").returncode == 0
        assert asyncio.run(answer(server.url))
    finally:
        finish(server)


async def answer(url: str) -> str:
    async with aiohttp.ClientSession(url) as client:
        return await ask(client, max_tokens=8)


async def test_one_that_is_killed_while_it_starts_leaves_the_old_one(server: Process) -> None:
    await until(lambda: bool(running.every()), "a server")
    os.kill(server.process.pid, signal.SIGUSR2)
    await until(lambda: "A new server is starting" in "".join(server.lines), "a new one")
    told = re.search(r"A new server is starting \(process (\d+)\)", "".join(server.lines))
    assert told is not None
    os.kill(int(told[1]), signal.SIGKILL)
    await until(lambda: running.every()[0].tried.state == "failed", "that it failed")
    (now,) = running.every()
    assert "killed by SIGKILL" in now.tried.detail
    assert now.pid == server.process.pid
    assert await answer(server.url)


def test_nothing_is_missing_in_the_audit_log(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_AUDIT_ENABLED", "true")
    server = launch(*OPTIONS)
    try:
        for _ in range(2):
            assert asyncio.run(answer(server.url))
            assert restart().returncode == 0
        assert asyncio.run(answer(server.url))
    finally:
        finish(server)
    lines = [line for path in home.glob("audit*/*.jsonl") for line in path.read_text().splitlines()]
    found = [json.loads(line)["what"] for line in lines]
    assert found.count("answer") == 3
    assert found.count("succession") == 2
    assert found.count("opened") == found.count("closed") == 3
    verified = subprocess.run([sys.executable, "-m", "penjing", "audit", "verify"], check=False, timeout=PATIENCE)
    assert verified.returncode == 0


def test_servers_are_named(server: Process) -> None:
    assert "No server runs at 1." in restart("1").stderr
    second = launch(*OPTIONS)
    try:
        done = restart()
        assert done.returncode == 2
        assert server.url in done.stderr
        assert second.url in done.stderr
    finally:
        finish(second)


def test_none_runs(home: Path) -> None:
    assert "No server of this user runs here." in restart().stderr
