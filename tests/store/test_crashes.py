"""A store is whole after its writer was killed, at any moment, and while several write at once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penjing.store.versions import Store

HERE = Path(__file__).parent
ACTS = ("add", "copy", "rm", "rm_resting", "gc", "wake", "tag", "import", "export")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the process forks")


def tried(act: str, first: int, step: int) -> int:
    """How many moments `act` was killed at."""
    command = [sys.executable, str(HERE / "crashing.py"), act, str(first), str(step)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    return int(found["tried"])


@pytest.mark.parametrize("act", ACTS)
def test_killed_at_some_moments(act: str) -> None:
    assert tried(act, first=1, step=6) >= 1


@pytest.mark.extras
@pytest.mark.parametrize("act", ACTS)
def test_killed_at_every_moment(act: str) -> None:
    assert tried(act, first=0, step=1) >= 5


def hammer(folder: Path, seed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(HERE / "hammering.py"), str(folder), str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill it; it must have been busy and without an error until then."""
    process.kill()
    _, errors = process.communicate()
    assert errors == b""
    assert process.returncode == -9


def check(folder: Path) -> None:
    store = Store(folder / "store")
    assert store.verify() == []
    for version in store.versions():
        for tag, number in store.tags(version.name).items():
            assert store.find(f"{version.name}:{tag}").number == number
    store.gc(unfinished=True)
    assert [path for path in store.staging.iterdir() if path.suffix != ".lock"] == []
    assert store.verify() == []


def kill_many(folder: Path, times: int, seed: int) -> None:
    choose = random.Random(seed)
    for number in range(times):
        process = hammer(folder, number)
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        time.sleep(choose.random() ** 2 * 0.3)
        end(process)
        check(folder)


def test_killed_at_random(tmp_path: Path) -> None:
    kill_many(tmp_path, 8, seed=1)


@pytest.mark.extras
@pytest.mark.timeout(1800)
def test_killed_at_random_hundreds_of_times(tmp_path: Path) -> None:
    kill_many(tmp_path, 200, seed=2)


def together(folder: Path, count: int, seconds: float) -> None:
    processes = [hammer(folder, seed) for seed in range(count)]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    time.sleep(seconds)
    for process in processes:
        end(process)
    check(folder)


def test_several_at_once(tmp_path: Path) -> None:
    together(tmp_path, 3, 2.0)


@pytest.mark.extras
def test_several_at_once_for_long(tmp_path: Path) -> None:
    together(tmp_path, 6, 60.0)
