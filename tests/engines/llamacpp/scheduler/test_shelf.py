from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from penjing.engines.llamacpp.scheduler.shelf import Shelf

STATE = np.arange(5000, dtype=np.uint8)


def opened(folder: Path, key: str = "model", budget: int = 1 << 20) -> Shelf:
    return Shelf(folder, lambda: key, budget).wait()


def kept(folder: Path, *conversations: list[int], key: str = "model", budget: int = 1 << 20) -> Shelf:
    shelf = opened(folder, key, budget)
    for tokens in conversations:
        assert shelf.save(tokens, STATE)
    shelf.close()
    return opened(folder, key, budget)


def test_it_comes_back_after_a_restart(tmp_path: Path) -> None:
    shelf = kept(tmp_path, [1, 2, 3, 4], [1, 2, 9])
    found = shelf.find([1, 2, 3, 7], 1)
    assert found is not None
    assert (found.same, found.length) == (3, 4)
    tokens, state = shelf.load(found.path) or ([], STATE[:0])
    assert tokens == [1, 2, 3, 4]
    assert (state == STATE).all()
    assert shelf.find([1, 2, 3, 7], 4) is None
    assert shelf.find([5], 1) is None
    assert shelf.has([1, 2])


def test_a_longer_conversation_takes_the_place_of_its_beginning(tmp_path: Path) -> None:
    shelf = kept(tmp_path, [1, 2, 3], [1, 2, 3, 4])
    assert len(list(shelf.folder.iterdir())) == 1


def test_a_beginning_of_what_is_there_is_not_kept(tmp_path: Path) -> None:
    shelf = kept(tmp_path, [1, 2, 3, 4], [1, 2], [1, 2, 3, 4])
    assert len(list(shelf.folder.iterdir())) == 1
    found = shelf.find([1, 2], 2)
    assert found is not None
    assert found.length == 4


def test_a_file_under_another_name_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (path,) = kept(tmp_path, [1, 2, 3]).folder.iterdir()
    path.rename(path.with_name("other.kv"))
    assert opened(tmp_path).find([1, 2, 3], 1) is None
    assert "computed again" in caplog.text


def test_another_model_has_its_own(tmp_path: Path) -> None:
    kept(tmp_path, [1, 2, 3])
    assert opened(tmp_path, "another", 1 << 20).find([1, 2, 3], 1) is None


@pytest.mark.parametrize("at", [0, 3, 15, 40, 200, 300, -1])
def test_a_flipped_bit_is_noticed(tmp_path: Path, at: int, caplog: pytest.LogCaptureFixture) -> None:
    shelf = kept(tmp_path, list(range(40)))
    (path,) = shelf.folder.iterdir()
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    for one in (shelf, opened(tmp_path, "model", 1 << 20)):
        found = one.find(list(range(40)), 1)
        assert found is None or one.load(found.path) is None
    assert not path.exists()
    assert "computed again" in caplog.text


@pytest.mark.parametrize("size", [0, 5, 30, 250, 1000])
def test_a_truncated_file_is_noticed(tmp_path: Path, size: int) -> None:
    shelf = kept(tmp_path, list(range(40)))
    (path,) = shelf.folder.iterdir()
    os.truncate(path, size)
    assert shelf.load(path) is None
    assert opened(tmp_path, "model", 1 << 20).find(list(range(40)), 1) is None


def test_the_budget_holds_and_the_oldest_goes(tmp_path: Path) -> None:
    shelf = opened(tmp_path, "model", 13_000)
    for start in range(4):
        shelf.save([start, start], STATE)
        while not shelf.has([start, start]):
            time.sleep(0.001)
    assert [shelf.has([start, start]) for start in range(4)] == [False, False, True, True]
    shelf.save([9], np.zeros(20_000, np.uint8))
    shelf.close()
    assert not shelf.has([9])


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    shelf = kept(tmp_path, [1, 2])
    (old,) = shelf.folder.iterdir()
    os.utime(old, (0, 0))
    shelf.save([3, 4], STATE)
    shelf.close()
    assert not old.exists()
    assert not shelf.has([1, 2])


def test_killed_while_writing(tmp_path: Path) -> None:
    program = """
import sys, numpy as np
from pathlib import Path
from penjing.engines.llamacpp.scheduler.shelf import Shelf
shelf = Shelf(Path(sys.argv[1]), lambda: "model", 1 << 40)
print("go", flush=True)
while True:
    for start in range(3):
        shelf.save([start] * 9, np.full(30_000_000, start, np.uint8))
"""
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    folder = opened(tmp_path, "model", 1 << 40).folder
    while not any(folder.glob(".*.part")):
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    (left,) = folder.glob(".*.part")
    os.utime(left, (0, 0))
    shelf = opened(tmp_path, "model", 1 << 40)
    assert not left.exists()
    for start in range(3):
        found = shelf.find([start] * 9, 9)
        if found:
            tokens, state = shelf.load(found.path) or ([], STATE)
            assert tokens == [start] * 9
            assert (state == start).all()
