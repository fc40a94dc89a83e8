"""Answers on disk, through restarts, damage and a killed process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penjing.gateway.cache import store as module
from penjing.gateway.cache.store import Store

WEEK = 7 * 86400.0
A, B, C = (letter * 32 for letter in (b"a", b"b", b"c"))


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def opened(path: Path, most_bytes: int = 1 << 20, clock: Clock | None = None) -> Store:
    return Store(path / "answers.sqlite", most_bytes, WEEK, clock or Clock())


async def put(store: Store, name: bytes, body: bytes) -> None:
    store.put(name, lambda: body)
    store.settle()
    await asyncio.sleep(0)


async def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert await store.get(A) is None
    await put(store, A, b"answer")
    assert await store.get(A) == b"answer"
    store.close()
    again = opened(tmp_path)
    assert len(again) == 1
    assert await again.get(A) == b"answer"
    assert (tmp_path / "answers.sqlite").stat().st_mode & 0o077 == 0
    again.close()


async def test_what_is_too_old_is_gone(tmp_path: Path) -> None:
    clock = Clock()
    store = opened(tmp_path, clock=clock)
    await put(store, A, b"answer")
    clock.now += WEEK + 1
    assert await store.get(A) is None
    store.close()
    again = opened(tmp_path, clock=clock)
    assert len(again) == 0
    again.close()


async def test_what_was_not_used_for_longest_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOUCHES", 1)
    clock = Clock()
    store = opened(tmp_path, most_bytes=2500, clock=clock)
    for name in (A, B):
        await put(store, name, bytes(1000))
        clock.now += 1
    assert await store.get(A)
    store.settle()
    clock.now += 1
    await put(store, C, bytes(1000))
    store.close()
    again = opened(tmp_path, most_bytes=2500, clock=clock)
    assert await again.get(A)
    assert await again.get(B) is None
    assert await again.get(C)
    assert not await put(again, B, bytes(9999))  # type: ignore[func-returns-value]  # larger than all that is allowed
    assert await again.get(B) is None
    again.close()


async def test_what_is_not_in_memory_is_read_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOT_BYTES", 10)
    store = opened(tmp_path)
    await put(store, A, b"a" * 9)
    await put(store, B, b"b" * 9)
    assert await store.get(A) == b"a" * 9
    assert await store.get(B) == b"b" * 9
    store.close()


@pytest.mark.parametrize("damage", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4000])
async def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "answers.sqlite").write_bytes(damage)
    store = opened(tmp_path)
    await put(store, A, b"answer")
    assert await store.get(A) == b"answer"
    store.close()
    assert (tmp_path / "answers.sqlite.damaged").read_bytes() == damage
    assert "damaged" in caplog.text


KILLED = """
import asyncio, os, sys
from pathlib import Path
from penjing.gateway.cache.store import Store

async def main():
    store = Store(Path(sys.argv[1]) / "answers.sqlite", 1 << 20, 1e9)
    for number in range(200):
        store.put(number.to_bytes(32, "big"), lambda: b"answer")
    store.settle()
    print("written", flush=True)
    while True:
        store.put(os.urandom(32), lambda: os.urandom(2000))
        await asyncio.sleep(0)

asyncio.run(main())
"""


def test_a_killed_process_loses_nothing_that_was_written(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"written\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    asyncio.run(_all_there(Store(tmp_path / "answers.sqlite", 1 << 30, 1e9)))


async def _all_there(store: Store) -> None:
    for number in range(200):
        assert await store.get(number.to_bytes(32, "big")) == b"answer"
    store.close()
