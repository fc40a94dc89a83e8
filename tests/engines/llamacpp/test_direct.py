"""The real library, called directly: it computes what it computes in the worker, watched or not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from penjing.engines.llamacpp.direct import Context, Loaded
from penjing.engines.llamacpp.options import EngineOptions
from penjing.engines.llamacpp.prepare import prepare
from penjing.engines.llamacpp.settings import Settings
from penjing.engines.llamacpp.watch import Watch
from penjing.errors import EngineStartFailed
from penjing.export.gguf.faults import NotAnAdapter
from penjing.store.resolve import guide
from tiny_lora import write_tiny_lora
from tiny_model import Shape, write_tiny_gguf


@pytest.fixture(scope="module")
def settings() -> Settings:
    return prepare(guide(), "guide", EngineOptions(max_context=256, threads=2)).settings


def test_watched_says_what_it_says_unwatched(settings: Settings) -> None:
    seen = Watch()
    seen.describe = True
    with Loaded(settings) as model:
        assert model.generates
        prompt = model.tokens("What is a KV cache?")
        with Context(model, 256) as plain, Context(model, 256, seen.callback) as watched:
            said: list[list[int]] = []
            for context in (plain, watched):
                context.decode(prompt)
                said.append([context.sample()])
                for _ in range(8):
                    context.decode(said[-1][-1:])
                    said[-1].append(context.sample())
            assert said[0] == said[1]
            watched.clear()
            watched.decode(prompt)
            assert len(seen.times) == 2 * len(seen.operations)
            assert seen.times == sorted(seen.times)


def test_operations_are_described(settings: Settings) -> None:
    seen = Watch()
    seen.describe = True
    with Loaded(settings) as model, Context(model, 256, seen.callback) as context:
        context.decode(model.tokens("Hello"))
    query = next(one for one in seen.operations if one.weight == "attn_q" and one.layer == 2)
    assert query.op == "MUL_MAT"
    assert query.types == ("Q8_0", "F32", "F32")
    assert query.parallel
    assert query.bytes == 256 * 256 * 34 // 32
    attention = next(one for one in seen.operations if one.op == "FLASH_ATTN_EXT" and one.layer == 5)
    assert attention.bytes > 0
    assert next(one for one in seen.operations if one.name == "result_norm").layer is None
    assert not any(one.parallel for one in seen.operations if one.empty)


def test_adapters_are_part_of_it(tmp_path: Path) -> None:
    tiny, lora = write_tiny_gguf(tmp_path / "tiny.gguf"), write_tiny_lora(tmp_path / "lora.gguf")
    options = EngineOptions(max_context=256, threads=1, lora=(f"{lora}=0.5",))
    seen = Watch()
    seen.describe = True
    with Loaded(prepare(tiny, "tiny", options).settings) as model, Context(model, 256, seen.callback) as context:
        context.decode(model.tokens("Hello"))
    adapted = [one for one in seen.operations if one.weight in ("attn_q.lora_a", "attn_q.lora_b")]
    assert {one.op for one in adapted} == {"MUL_MAT"}
    assert len(adapted) == 2 * Shape().layers
    assert all(one.layer is not None for one in adapted)


def test_an_adapter_that_is_none(tmp_path: Path) -> None:
    tiny = write_tiny_gguf(tmp_path / "tiny.gguf")
    with pytest.raises(NotAnAdapter):
        prepare(tiny, "tiny", EngineOptions(max_context=256, lora=(str(tiny),)))


def test_a_file_that_is_no_model_says_so(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(guide().read_bytes()[:100_000])
    with pytest.raises(EngineStartFailed) as caught:
        Loaded(dataclasses.replace(settings, model=str(path)))
    assert "llama.cpp says nothing" not in caught.value.message(language="en")
