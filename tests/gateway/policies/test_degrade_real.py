"""A real engine that the kernel kills for memory: the client gets its answer all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.memory_group import Group, memory_group
from gateway.running import Process, engine_of, finish, launch
from tiny_model import Shape, write_tiny_gguf

MEBIBYTE = 1 << 20
QUESTION = {"messages": [{"role": "user", "content": "word " * 300}], "max_tokens": 100, "temperature": 0}


@pytest.fixture
def group() -> Iterator[Group]:
    with memory_group(1600 * MEBIBYTE) as made:
        yield made


@pytest.fixture
def starving(group: Group, tmp_path: Path) -> Iterator[Process]:
    """A server with a large KV cache, whose group is then left hardly more than it has."""
    shape = Shape(layers=8, width=512, heads=8, kv_heads=8, feed_forward=512, context=32768)
    model = write_tiny_gguf(tmp_path / "tiny.gguf", shape)
    server = launch("--parallel", "1", model=str(model), under=group.under)
    group.limit(group.used + 3 * MEBIBYTE)
    yield server
    finish(server)


@pytest.mark.parametrize("stream", [False, True])
def test_killed_for_memory_and_answered_all_the_same(starving: Process, stream: bool) -> None:
    before = engine_of(starving).pid
    answer = httpx.post(f"{starving.base}/chat/completions", json={**QUESTION, "stream": stream}, timeout=120)
    assert answer.status_code == 200, answer.text
    assert "why=memory" in answer.headers["x-penjing-degraded"]
    assert "answered-by=tiny" in answer.headers["x-penjing-degraded"]
    assert engine_of(starving).pid != before
    assert starving.process.poll() is None
    figures = httpx.get(f"{starving.url}/metrics", timeout=20).text
    assert 'penjing_degraded_total{model="tiny",how="max_tokens"} 1' in figures
