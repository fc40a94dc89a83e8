"""The snippets of the page about dialects do what they say, in both languages."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
DEFAULT_URL = "http://127.0.0.1:8000"
SNIPPETS = [
    pytest.param(snippet, id=f"{language}-{place}")
    for language in ("en", "zh")
    for place, snippet in enumerate(
        re.findall(r"```python\n(.*?)```", (DOCS / language / "dialects.md").read_text(encoding="utf-8"), re.S)
    )
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """`penjing serve`, on a free port."""
    command = [sys.executable, "-m", "penjing", "serve", "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr
    with server.stderr as said:
        ready = next(line for line in said if re.search(r"http://[\d.]+:\d+/v1", line))
        yield re.findall(r"(http://[\d.]+:\d+)/v1", ready)[0]
        server.terminate()
        server.wait(60)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet(snippet: str, url: str) -> None:
    assert DEFAULT_URL in snippet
    asked = snippet.replace(DEFAULT_URL, url)
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
