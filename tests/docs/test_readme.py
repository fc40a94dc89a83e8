"""The first commands and snippets of both READMEs do what they say."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh.md")
DEFAULT_URL = "http://127.0.0.1:8000"


def blocks(page: str, kind: str) -> list[str]:
    """The code blocks of one language in a page."""
    return re.findall(rf"```{kind}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)


def commands(page: str) -> list[str]:
    """Every line of the shell blocks, continued lines joined."""
    return [line for block in blocks(page, "sh") for line in block.replace("\\\n", "").splitlines() if line.strip()]


def run(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line as a person would, with `penjing` and `python` from this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "PATH": path, **environment},
    )


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PENJING_PROMPT", raising=False)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """`penjing serve`, on a free port."""
    server = subprocess.Popen(
        [sys.executable, "-m", "penjing", "serve", "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    assert server.stderr
    with server.stderr as said:
        ready = next(line for line in said if line.startswith("Ready"))
        yield re.findall(r"(http://[\d.]+:\d+)/v1", ready)[0]
        server.terminate()
        server.wait(60)


def test_both_begin_with_the_two_commands() -> None:
    for page in READMES:
        first, second, *_ = commands(page)
        assert first.startswith("make chat")
        assert second.startswith("make test")
        assert commands(page)[2:4] == ["pip install .", "penjing chat"]


def test_both_have_the_same_commands() -> None:
    english, chinese = ([words(line) for line in commands(page)] for page in READMES)
    assert english == chinese


def words(line: str) -> list[str]:
    """A command without what may be in another language: quoted texts and comments."""
    return shlex.split(re.sub(r"\"[^\"]*\"|'[^']*'", "", line), comments=True)


@pytest.mark.parametrize("page", READMES)
def test_every_make_target_exists(page: str) -> None:
    for line in commands(page):
        if line.startswith("make "):
            done = run(line.replace("make ", "make --dry-run "))
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", READMES)
def test_what_is_asked_is_answered(page: str) -> None:
    asking = [line for line in commands(page) if "chat -p" in line or line.startswith("echo")]
    assert len(asking) == 3
    for line in asking:
        done = run(line)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


@pytest.mark.parametrize("line", ["penjing serve --explain", "penjing probe"])
def test_what_only_looks_works(line: str) -> None:
    assert line in commands("README.md")
    assert run(line).returncode == 0


@pytest.mark.parametrize("page", READMES)
def test_the_snippet_for_openai(page: str, url: str) -> None:
    (snippet,) = blocks(page, "python")
    assert DEFAULT_URL in snippet
    done = subprocess.run(
        [sys.executable, "-c", snippet.replace(DEFAULT_URL, url)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("page", READMES)
def test_the_snippet_for_curl(page: str, url: str) -> None:
    (line,) = (line for line in commands(page) if line.startswith("curl"))
    done = run(line.replace(DEFAULT_URL, url))
    assert '"chat.completion"' in done.stdout, done.stderr


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_snippet_for_langchain(language: str, url: str) -> None:
    (snippet,) = blocks(f"docs/{language}/serve.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", snippet.replace(DEFAULT_URL, url)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
