"""Neither what was said nor who may say it stands in a log, on the terminal or in an error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.running import Process, engine_of, eventually, finish, launch

KEY, CONTENT = "a-key-that-must-not-show-0123456789", "a-word-that-must-not-show"
PATHS = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/api/chat",
    "/api/v1/chat",
    "/chat",
    "/v1/completions",
)


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))
    monkeypatch.setenv("PENJING_AUDIT_ENABLED", "true")
    monkeypatch.setenv("PENJING_API_KEY", KEY)
    server = launch("--parallel", "2", "--max-context", "512")
    yield server
    finish(server)


def bodies() -> Iterator[Any]:
    said = [{"role": "user", "content": CONTENT}]
    whole = {"messages": said, "prompt": CONTENT, "input": CONTENT, "user_input": CONTENT, "max_tokens": 4}
    yield {**whole, "model": "none"}
    yield {**whole, "model": "guide", CONTENT: 1}
    yield {"model": "guide", "messages": [{"role": CONTENT, "content": CONTENT}], "max_tokens": 4}
    yield {"model": "guide", "messages": [{"role": "user", "content": f"{CONTENT} " * 900}], "max_tokens": 4}
    yield {"model": "guide", "messages": said, "max_tokens": 4, "stream": True}
    yield {"model": "guide", "prompt": CONTENT, "max_tokens": 4}


def test_nothing_shows(guarded: Process, tmp_path: Path) -> None:
    with httpx.Client(base_url=guarded.url, timeout=60) as client:
        answers = []
        for key in (KEY, KEY + "x"):
            for path in PATHS:
                head = {"Authorization": f"Bearer {key}"}
                answers += [client.post(path, json=body, headers=head) for body in bodies()]
                broken = f'{{"messages": "{CONTENT}'.encode()
                answers.append(client.post(path, content=broken, headers={"x-api-key": key}))
            answers.append(client.get(f"/{CONTENT}", headers={"Authorization": f"Bearer {key}"}))
        before = engine_of(guarded).pid
        os.kill(before, 9)
        eventually(lambda: bool(guarded.lines) and any("restart" in line for line in guarded.lines), "it is told")
    assert {answer.status_code for answer in answers} >= {200, 400, 401, 404}
    assert not [answer for answer in answers if KEY in answer.text]
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".log" for path in kept)
    assert any(path.suffix == ".jsonl" for path in kept)
    for path in kept:
        content = path.read_bytes()
        assert KEY.encode() not in content, path
        assert CONTENT.encode() not in content, path
    told = "".join(guarded.lines)
    assert KEY not in told
    assert CONTENT not in told
