"""Two real `penjing serve`: one plays the cloud of the other, and each stands in for the other when it is killed."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.running import Process, eventually, finish, launch, user

SETTINGS = """
[engine]
max_context = 512
parallel = 2

[engines.device]
model = "guide"

[engines.cloud]
url = "{url}"
remote_model = "guide"
price = {{ input = 1000000.0, output = 1000000.0 }}

[route]
fallback = ["device", "cloud"]
failures = 1
pause = 0.2
longest_pause = 0.5

[[route.rules]]
name = "aliases"
model = "gpt-*"
to = "cloud"

[canary]
of = "device"
to = "cloud"
share = {share}
"""


def settings(url: str, share: float = 0.0) -> str:
    return SETTINGS.format(url=url, share=share)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the front server finds its settings; others are started beside it."""
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "front").mkdir()
    return tmp_path / "front"


@pytest.fixture
def cloud(folder: Path) -> Iterator[Process]:
    server = launch("--max-context", "512")
    yield server
    finish(server)


def front(folder: Path, url: str, *words: str, share: float = 0.0) -> Process:
    (folder / "penjing.toml").write_text(settings(url, share))
    before = Path.cwd()
    os.chdir(folder)
    try:
        return launch(*words, model="")
    finally:
        os.chdir(before)


def ask(server: Process, model: str, **more: Any) -> tuple[int, str, httpx.Headers]:
    """Status, the model that answered, headers."""
    headers = more.pop("headers", {})
    body = {"model": model, "messages": [user("Hello")], "max_tokens": 4, **more}
    answer = httpx.post(f"{server.base}/chat/completions", json=body, headers=headers, timeout=60)
    return answer.status_code, answer.headers.get("x-penjing-route", ""), answer.headers


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.skipif(os.name == "nt", reason="kill -9")
def test_each_stands_in_for_the_other(folder: Path, cloud: Process) -> None:
    server = front(folder, cloud.url)
    try:
        assert ask(server, "gpt-4o")[:2] == (200, "cloud; rule=aliases")
        assert ask(server, "device")[:2] == (200, "device")
        assert "penjing_spent_dollars_total" in httpx.get(f"{server.url}/metrics", timeout=60).text

        cloud.process.send_signal(signal.SIGKILL)
        cloud.process.wait()
        status, route, _ = ask(server, "gpt-4o")
        assert status == 200
        assert route.startswith("device; rule=aliases; tried=cloud:engine_")
        status, route, _ = ask(server, "gpt-4o", stream=True)
        assert status == 200
        assert route.startswith("device; rule=aliases; tried=cloud:")  # not asked, or asked once more after the pause

        # what must stay is refused rather than sent where nothing would answer for it
        assert ask(server, "cloud", headers={"x-penjing-local-only": "1"})[:2] == (200, "device")

        again = launch("--max-context", "512", "--port", cloud.url.rpartition(":")[2])
        try:
            eventually(lambda: ask(server, "gpt-4o")[1] == "cloud; rule=aliases", "the cloud is asked again")
        finally:
            finish(again)
    finally:
        finish(server)


@pytest.mark.skipif(os.name == "nt", reason="kill -9")
def test_a_killed_device_is_stood_in_for(folder: Path, cloud: Process) -> None:
    import psutil

    server = front(folder, cloud.url)
    try:
        assert ask(server, "device")[:2] == (200, "device")
        (worker,) = psutil.Process(server.process.pid).children()
        for _ in range(3):  # the supervisor starts it again; whoever comes meanwhile goes to the cloud
            worker.kill()
            status, route, _ = ask(server, "device")
            assert status == 200
            if route != "device":
                break
            (worker,) = psutil.Process(server.process.pid).children()
        assert route.startswith("cloud; tried=device:engine_")
        eventually(lambda: ask(server, "device")[1] == "device", "the device is back")
    finally:
        finish(server)


def test_a_cloud_that_is_not_there_yet_and_settings_read_again(folder: Path) -> None:
    port = free_port()
    server = front(folder, f"http://127.0.0.1:{port}")
    try:
        assert any("cloud could not be started" in line for line in server.lines)
        assert ask(server, "gpt-4o")[:2] == (200, "device; rule=aliases")
        late = launch("--max-context", "512", "--port", str(port))
        try:
            eventually(lambda: ask(server, "gpt-4o")[1] == "cloud; rule=aliases", "the cloud is found", 60)
            if os.name != "nt":
                assert ask(server, "device")[2]["x-penjing-arm"] == "stable"
                (folder / "penjing.toml").write_text(settings(f"http://127.0.0.1:{port}", 1.0))
                server.process.send_signal(signal.SIGHUP)
                eventually(lambda: ask(server, "device")[2]["x-penjing-arm"] == "canary", "the share is changed")
                (folder / "penjing.toml").write_text("[canary]\nshare = 7\n")
                server.process.send_signal(signal.SIGHUP)
                eventually(lambda: any("were not read again" in line for line in server.lines), "it says so")
                assert ask(server, "device")[2]["x-penjing-arm"] == "canary"
        finally:
            finish(late)
    finally:
        finish(server)
