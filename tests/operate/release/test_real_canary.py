"""Canaries of the built-in model behind a real `penjing serve`: at two bits it is rolled back, at eight it is promoted,
both by itself and within the number of conversations that was given."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.running import Process, finish, launch
from penjing.gateway.audit.export import records
from penjing.gateway.audit.verify import verify
from penjing.manifest import Manifest
from penjing.operate.release.yardstick import NAME, body, read
from penjing.shrink.evaluate.questions import Question
from penjing.store import channels
from penjing.store.resolve import guide
from penjing.store.versions import Store
from two_bit_guide import write_two_bit_guide

MOST = 60
HURRIED = ("--worse", "ttft=4", "--worse", "tokens=4")
"""Tests share their processor with others; what is told apart here is what the versions know."""
PATIENCE = 300


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@contextmanager
def served(home: Path, *, good_first: bool) -> Iterator[tuple[Store, Process]]:
    """`m` at eight bits and at two; the first is stable and served."""
    folder = home.parent / "models"
    folder.mkdir()
    store = Store(home / "store")
    files = [guide(), write_two_bit_guide(folder / "two.gguf")]
    for number, path in enumerate(files if good_first else reversed(files)):
        kept = shutil.copy(path, folder / f"{number}.gguf")
        questions = guide().with_name(NAME)
        store.add({"m.gguf": Path(kept), NAME: questions}, Manifest(name="m", version=""), taking="copy")
    store.tag("m", "stable", "m@1")
    server = launch("--parallel", "2", "--max-context", "1024", model="m")
    try:
        yield store, server
    finally:
        finish(server)


def penjing(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "penjing", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def talk(server: Process, store: Store, questions: tuple[Question, ...]) -> int:
    """People who ask one question each, and do not like answers that are wrong; until there is no canary any more. How
    many asked the canary."""
    chance, mine, began = random.Random(4), 0, time.monotonic()
    while channels.canary(store, "m") is not None and time.monotonic() - began < PATIENCE:
        question = chance.choice(questions)
        headers = {"x-penjing-conversation": str(chance.random())}
        wanted = {**json.loads(body(question, "m")), "stream": True, "max_tokens": 60}
        with posted(server, "chat/completions", wanted, headers) as answer:
            said = "".join(text(line) for line in answer)
            mine += answer.headers["x-penjing-arm"] == "canary"
            rating = {"id": answer.headers["x-penjing-answer"], "rating": "up" if question.right(said) else "down"}
        with posted(server, "feedback", rating):
            pass
    return mine


def posted(server: Process, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    """The answer; raises HTTPError for every status but 200."""
    asked = urllib.request.Request(f"{server.base}/{path}", json.dumps(body).encode(), headers or {})
    return urllib.request.urlopen(asked, timeout=60)


def text(line: bytes) -> str:
    if not line.startswith(b"data: {"):
        return ""
    choices = json.loads(line[6:])["choices"]
    return (choices[0]["delta"].get("content") or "") if choices else ""


def decided(home: Path) -> dict[str, Any]:
    """What the audit log says of it."""
    (log,) = (home / "audit").glob("*") if not list((home / "audit").glob("*.jsonl")) else [home / "audit"]
    said = [each for each in records([log]) if each["what"] == "release" and each["by"] == "gates"]
    assert verify(log, b"").faults == []
    assert len(said) == 1
    return said[0]


@pytest.mark.extras
@pytest.mark.parametrize(
    ("most", "more"), [(60, ()), (200, ("--yardstick", "none"))], ids=["yardstick", "people alone"]
)
def test_a_two_bit_canary_is_rolled_back(home: Path, most: int, more: tuple[str, ...]) -> None:
    """Of ten questions it knows about eight, where the other knows all: people alone need more of them to tell."""
    with served(home, good_first=True) as (store, server):
        penjing("release", "canary", "m@2", "--share", "40%", "--conversations", str(most), *HURRIED, *more)
        mine = talk(server, store, read(guide().with_name(NAME)))
        assert channels.canary(store, "m") is None, penjing("release", "status", "m")
        status = json.loads(penjing("release", "status", "m", "--json"))
        assert status["stable"] == 1, json.dumps(status["decisions"][-1])
        last = status["decisions"][-1]
        assert (last["what"], last["by"], last["number"]) == ("rolled_back", "gates", 2)
        assert mine <= most
        assert set(last["numbers"]["refusing"]) & {"yardstick", "thumbs"}
        assert decided(home)["numbers"] == last["numbers"]
        assert any("was rolled back" in line for line in server.lines)


@pytest.mark.extras
def test_an_eight_bit_canary_is_promoted_over_a_two_bit_one(home: Path) -> None:
    with served(home, good_first=False) as (store, server):
        penjing("release", "canary", "m@2", "--share", "50%", "--conversations", str(MOST), *HURRIED)
        mine = talk(server, store, read(guide().with_name(NAME)))
        status = json.loads(penjing("release", "status", "m", "--json"))
        assert status["stable"] == 2, penjing("release", "status", "m")
        last = status["decisions"][-1]
        assert (last["what"], last["by"]) == ("promoted", "gates")
        assert last["numbers"]["refusing"] == []
        assert mine == last["numbers"]["conversations"]["canary"] == MOST
        assert decided(home)["decision"] == "promoted"
        for _ in range(200):  # the server follows
            if any("m@2" in line and "now" in line for line in server.lines):
                break
            time.sleep(0.1)
        else:
            pytest.fail("".join(server.lines))
