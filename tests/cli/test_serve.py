"""`penjing serve` as a process of its own, with the built-in model and its real engine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import psutil
import pytest

from shells import Done

HELLO = [{"role": "user", "content": "Hello"}]


class Server:
    """A running `penjing serve`; what it says on stderr is in `said`."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.said: list[str] = []
        self.clients: list[openai.OpenAI] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "penjing", "serve", "--port", "0", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        with self.process.stderr as lines:
            for line in lines:
                with self._more:
                    self.said.append(line.rstrip())
                    self._more.notify_all()
        with self._more:
            self._more.notify_all()

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until a line like `pattern` is said."""

        def found() -> re.Match[str] | None:
            return next((match for line in self.said if (match := re.search(pattern, line))), None)

        with self._more:
            assert self._more.wait_for(lambda: found() or self.process.poll() is not None, 90), self.said
        match = found()
        assert match, self.said
        return match

    def client(self, key: str = "EMPTY") -> openai.OpenAI:
        """OpenAI's own SDK, pointed at it."""
        url = self.expect(r"(http://[\d.]+:\d+/v1)")[1]
        self.clients.append(openai.OpenAI(base_url=url, api_key=key, max_retries=0))
        return self.clients[-1]

    def stop(self) -> int:
        """Ctrl-C; its exit status."""
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        status = self.process.wait(60)
        self._reader.join(10)
        return status


@pytest.fixture
def serve(clean: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers and stops them; no engine outlives them, no traceback was shown."""
    running: list[Server] = []

    def start(*arguments: str, **environment: str) -> Server:
        running.append(Server(*arguments, **environment))
        return running[-1]

    yield start
    for server in running:
        alive = server.process.poll() is None
        children = psutil.Process(server.process.pid).children(recursive=True) if alive else []
        server.stop()
        assert psutil.wait_procs(children, timeout=30)[1] == []
        assert not [line for line in server.said if "Traceback" in line]


def test_it_says_where_it_is_and_answers(serve: Callable[..., Server]) -> None:
    server = serve()
    server.expect("Listening on .* guide is loading")
    server.expect(r"Ready\. Base URL for OpenAI's SDK: http://127\.0\.0\.1:\d+/v1, model: guide\.")
    answer = server.client().chat.completions.create(model="guide", messages=HELLO)
    assert answer.choices[0].message.content
    assert server.stop() == 0
    assert "Stopping" in server.said[-1]


def test_in_chinese_with_a_key(serve: Callable[..., Server]) -> None:
    server = serve("--api-key", "secret", PENJING_LANGUAGE="zh")
    server.expect("就绪")
    with pytest.raises(openai.AuthenticationError):
        server.client("wrong").models.list()
    assert [model.id for model in server.client("secret").models.list()] == ["guide"]


def test_the_key_may_be_in_the_environment(serve: Callable[..., Server]) -> None:
    server = serve(PENJING_API_KEY="one two")
    server.expect("Ready")
    assert server.client("two").models.list().data
    with pytest.raises(openai.AuthenticationError):
        server.client("three").models.list()


def test_open_to_the_network_without_a_key_is_warned_of(serve: Callable[..., Server]) -> None:
    server = serve("--host", "0.0.0.0")
    server.expect("warning: Anybody who can reach this machine")


def test_an_engine_that_is_killed_is_told_and_comes_back(serve: Callable[..., Server]) -> None:
    server = serve()
    server.expect("Ready")
    (worker,) = psutil.Process(server.process.pid).children()
    worker.kill()
    server.expect("warning: The engine of guide ended .killed by SIGKILL.; it is being restarted")
    server.expect("The engine of guide is back")
    assert server.client().chat.completions.create(model="guide", messages=HELLO).choices


def test_a_port_from_the_settings(serve: Callable[..., Server], clean: Path) -> None:
    Path("penjing.toml").write_text('[model]\nname = "guide"\n\n[engine]\nmax-context = 256\n')
    server = serve()
    server.expect("Ready")
    with pytest.raises(openai.BadRequestError, match="256"):
        server.client().chat.completions.create(model="guide", messages=[{"role": "user", "content": "word " * 900}])


def test_it_listens_before_a_checkpoint_is_converted(serve: Callable[..., Server], checkpoint: Path) -> None:
    server = serve(str(checkpoint))
    server.expect(r"Ready\.")
    listening, converting, ready = (
        next(place for place, line in enumerate(server.said) if word in line)
        for word in ("Listening", "Converting", "Ready")
    )
    assert listening < converting < ready


def test_several_models(serve: Callable[..., Server], clean: Path) -> None:
    Path("penjing.toml").write_text(
        '[engines.one]\nmodel = "guide"\n\n[engines.two]\nmodel = "guide"\nmax_context = 256\n\n'
        '[[route.rules]]\nname = "aliases"\nmodel = "gpt-*"\nto = "two"\n'
    )
    server = serve()
    server.expect(r"Listening on .*; one, two is loading")
    server.expect(r"Ready\. .* model: one, two\.")
    client = server.client()
    assert [model.id for model in client.models.list()] == ["one", "two"]
    assert client.chat.completions.create(model="one", messages=HELLO).model == "one"
    assert client.chat.completions.create(model="gpt-4o", messages=HELLO).model == "two"
    with pytest.raises(openai.NotFoundError, match="one, two"):
        client.chat.completions.create(model="three", messages=HELLO)


def test_a_rule_about_nobody_is_told(shell: Callable[..., Done]) -> None:
    Path("penjing.toml").write_text('[[route.rules]]\nname = "r"\nto = "cloud"\n')
    done = shell("serve", "--port", "0")
    assert done.status == 2
    assert "The routing rule 'r' names 'cloud'" in done.err
    assert "Engines here: guide" in done.err
