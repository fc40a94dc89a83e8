from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.engines.llamacpp.unsealed import Unsealed
from penjing.errors import ModelTooBig, PenjingError
from penjing.operate.supervise import Patience, Supervised
from penjing.probe import machine
from penjing.store.resolve import guide
from penjing.store.seal import keys
from penjing.store.seal.faults import ChunkAltered, NotWhileSealed
from penjing.store.seal.keys import SealSettings
from penjing.store.seal.opening import Opened, open_sealed
from penjing.store.seal.sealing import seal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files that are only in memory are Linux's")
SMALL = EngineOptions(max_context=256, parallel=1)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def opened(home: Path) -> Opened:
    means = SealSettings(key_command="echo " + "5a" * 32)
    path = home / "guide.gguf.sealed"
    seal(guide(), path, (partial(keys.command_slot, means.key_command),))
    return open_sealed(path, means)


def engine(opened: Opened, options: EngineOptions = SMALL) -> LlamaCpp:
    return LlamaCpp(opened.path, "guide", options, sealed=opened)


def files_of(pid: int) -> list[str]:
    """What a process has mapped or open, by name."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    names = [line.split(None, 5)[5] for line in maps if len(line.split(None, 5)) == 6]
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of this very listing
            names.append(str(entry.readlink()))
    return names


async def answer(one: LlamaCpp | Supervised) -> str:
    import aiohttp

    connector = aiohttp.UnixConnector(one.address.socket)
    body = {"messages": [{"role": "user", "content": "What is penjing?"}], "max_tokens": 12, "temperature": 0}
    url = f"{one.address.url}/v1/chat/completions"
    async with aiohttp.ClientSession(connector=connector) as client, client.post(url, json=body) as said:
        found = await said.json()
    return str(found["choices"][0]["message"]["content"])


async def test_it_answers_as_the_plain_one_and_nothing_is_on_disk(opened: Opened, home: Path) -> None:
    one, plain = engine(opened), LlamaCpp(guide(), "guide", SMALL)
    await one.start()
    await plain.start()
    try:
        assert await answer(one) == await answer(plain) != ""
        if os.geteuid():  # nobody but root sees into it
            with pytest.raises(PermissionError):
                files_of(one.pid)
        else:
            names = files_of(one.pid)
            assert any(name.startswith("/memfd:penjing-sealed") for name in names)
            assert not [name for name in names if name.endswith((".gguf", ".sealed"))]
            assert (await one.footprint()).mapped >= guide().stat().st_size * 0.9
        status = Path(f"/proc/{one.pid}/limits").read_text()
        assert "Max core file size        0 " in status
        weights = guide().read_bytes()[-4096:]
        kept = [path for path in home.rglob("*") if path.is_file() and weights in path.read_bytes()]
        assert kept == []
    finally:
        await one.stop()
        await plain.stop()
    assert not [name for name in files_of(os.getpid()) if "memfd:penjing" in name]


async def test_a_killed_worker_comes_back_on_the_same_memory(opened: Opened, home: Path) -> None:
    said: list[str] = []
    inner = engine(opened)
    one = Supervised(inner, Patience(delay=0.05), hear=lambda change: said.append(change.state))
    await one.start()
    try:
        before = await answer(one)
        opened.path.write_bytes(b"gone")  # it is not read a second time
        memory = inner._sealed and inner._sealed.memory
        for times in (1, 2):
            os.kill(inner.pid, signal.SIGKILL)
            while said.count("ready") <= times:
                assert "failed" not in said, one.detail
                await asyncio.sleep(0.02)
            assert await answer(one) == before
        assert inner._sealed is not None
        assert inner._sealed.memory is memory
        await one.rest()
        assert inner._sealed.memory is None
    finally:
        await one.stop()


async def test_who_gives_up_frees_the_memory(opened: Opened) -> None:
    inner = engine(opened)
    one = Supervised(inner, Patience(restarts=0))
    await one.start()
    os.kill(inner.pid, signal.SIGKILL)
    await one.ended()
    assert inner._sealed is not None
    assert inner._sealed.memory is None
    await one.stop()


async def test_altered_weights_end_the_start(opened: Opened) -> None:
    with opened.path.open("r+b") as stream:
        stream.seek(-5, os.SEEK_END)
        stream.write(b"!")
    one = engine(opened)
    with pytest.raises(ChunkAltered, match="chunk 7 of 7"):
        await one.start()
    assert one.pid == 0
    assert not [name for name in files_of(os.getpid()) if "memfd:penjing" in name]


def test_what_would_defeat_the_seal_is_refused(opened: Opened) -> None:
    for options in (EngineOptions(rope_scale=2), EngineOptions(mmap=False)):
        with pytest.raises(NotWhileSealed):
            Unsealed(opened).prepare("guide", options)


def test_memory_is_looked_at_before_anything_is_decrypted(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    little = dataclasses.replace(machine.read(gpus=False), memory_available=6 << 20)
    monkeypatch.setattr(machine, "read", lambda gpus=True: little)
    one = Unsealed(opened)
    with pytest.raises(ModelTooBig, match=r"guide\.gguf\.sealed"):
        one.prepare("guide", SMALL)
    plenty = dataclasses.replace(little, memory_available=60 << 20)
    monkeypatch.setattr(machine, "read", lambda gpus=True: plenty)
    without = one.prepare("guide", EngineOptions(parallel=1)).settings.context
    one.fill()
    held = one.prepare("guide", EngineOptions(parallel=1)).settings.context
    assert held >= without  # what is held is not counted twice
    one.let_go()


async def test_a_file_that_is_no_gguf(home: Path) -> None:
    plain, path = home / "x", home / "x.sealed"
    plain.write_bytes(b"some text that is no model" * 9)
    means = SealSettings(key_command="echo " + "5a" * 32)
    seal(plain, path, (partial(keys.command_slot, means.key_command),))
    with pytest.raises(PenjingError, match=r"x\.sealed"):
        await engine(open_sealed(path, means)).start()
