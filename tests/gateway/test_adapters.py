"""Adapters as models of their own, switched with every request: a real engine, two LoRA files, one slot."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from gateway.running import Running, Serving, until
from penjing.engines.adapted import Adapted
from penjing.engines.engine import Capabilities
from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.errors import EngineStartFailed, ModelNotFound
from penjing.export.gguf.faults import AdapterMismatch, NotAnAdapter
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.check import check
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.dialects.openai.rewrite import for_engine
from tiny_lora import write_tiny_lora
from tiny_model import Shape, write_tiny_gguf

LONG = "a question that is long enough for its beginning to be kept in the cache of a slot, whoever asked it"
OTHER = "another question, which takes the slot's place in between and begins with the same marks as the first"


@pytest.fixture
def engine(tmp_path: Path) -> LlamaCpp:
    model = write_tiny_gguf(tmp_path / "tiny.gguf")
    files = {name: write_tiny_lora(tmp_path / f"{name}.gguf", scale=3.0, seed=seed) for seed, name in enumerate("ab")}
    lora = tuple(f"{name}={path}" for name, path in files.items())
    return LlamaCpp(model, "tiny", EngineOptions(parallel=1, threads=1, lora=lora))


async def said(running: Running, model: str, question: str = LONG, **fields: Any) -> str:
    wanted = {"max_tokens": 24, "temperature": 0, "ignore_eos": True}
    status, answer = await running.chat(question, model=model, **wanted, **fields)
    assert status == 200, answer
    return str(answer["choices"][0]["message"]["content"])


async def test_a_request_has_the_adapter_it_names_and_nothing_of_the_one_before(
    engine: LlamaCpp, serving: Serving
) -> None:
    """llama.cpp takes what a slot read with one adapter for what another one needs, unless each question says."""
    views = {view.name: view for view in (Adapted(engine, "a"), Adapted(engine, "b"))}
    async with serving(engines={"tiny": engine, **views}) as running:
        await until(lambda: len(running.said) > 1, "ready")
        _, listed = await running.get("/v1/models")
        assert [(each["id"], each["ready"]) for each in listed["data"]] == [
            ("tiny", True), ("tiny:a", True), ("tiny:b", True)
        ]  # fmt: skip
        assert engine.capabilities.weights == (0.0, 0.0)
        fresh = {name: await said(running, name) for name in ("tiny", "tiny:a", "tiny:b")}
        assert fresh["tiny"] != fresh["tiny:a"] != fresh["tiny:b"] != fresh["tiny"]
        for before, name in permutations(fresh, 2):
            await said(running, before)
            await said(running, name, OTHER)  # what the slot holds may be set aside, and taken up again
            assert await said(running, name) == fresh[name], (before, name)
        assert await said(running, "tiny", lora=[{"name": "b"}]) == fresh["tiny:b"]
        assert await said(running, "tiny:b", lora=[{"id": 0, "scale": 1.0}]) == fresh["tiny:a"]
        assert await said(running, "tiny:b", lora=[]) == fresh["tiny"]
        half = await said(running, "tiny", lora=[{"name": "a", "scale": 0.5}])
        assert half not in (fresh["tiny"], fresh["tiny:a"])
        status, refused = await running.chat("hi", model="tiny:c")
        assert (status, refused["error"]["code"]) == (404, "model_not_found")
        assert len(running.gateway.house.pools) == 1


async def test_a_model_that_failed_is_told_under_every_name(tmp_path: Path, serving: Serving) -> None:
    lost = LlamaCpp(tmp_path / "absent.gguf", "lost", EngineOptions())
    async with serving(engines={"lost": lost, "lost:a": Adapted(lost, "a")}) as running:
        with pytest.raises(ModelNotFound):
            await running.task


@pytest.mark.parametrize(
    ("shape", "what", "error"),
    [(Shape(width=96), "adapter", AdapterMismatch), (Shape(), "model", NotAnAdapter), (Shape(), "", ModelNotFound)],
)
async def test_adapters_that_do_not_fit_are_told_before_loading(
    tmp_path: Path, shape: Shape, what: str, error: type[Exception]
) -> None:
    model = write_tiny_gguf(tmp_path / "tiny.gguf")
    path = model if what == "model" else tmp_path / "lora.gguf"
    if what == "adapter":
        write_tiny_lora(path, shape)
    with pytest.raises(error) as caught:
        await LlamaCpp(model, "tiny", EngineOptions(lora=(f"a={path}",))).start()
    assert not isinstance(caught.value, EngineStartFailed)
    assert path.name in str(caught.value)


CAN = Capabilities("m", adapters=(("", 0.5), ("a", 1.0)), weights=(0.5, 0.0))


def body(**fields: Any) -> tuple[bytes, Any]:
    from msgspec.json import encode

    raw = encode({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields})
    return raw, parse(raw, wire.ChatBody)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, [{"id": 0, "scale": 0.5}, {"id": 1, "scale": 0.0}]),
        ({"lora": [{"name": "a", "scale": 2}]}, [{"id": 1, "scale": 2.0}]),
        ({"lora": [{"id": 0}]}, [{"id": 0, "scale": 1.0}]),
        ({"lora": []}, []),
    ],
)
def test_every_question_says_which_adapters_it_wants(asked: dict[str, Any], sent: list[Any]) -> None:
    from msgspec.json import decode

    raw, parsed = body(**asked)
    check(parsed, CAN)
    assert decode(for_engine(raw, parsed, CAN))["lora"] == sent


@pytest.mark.parametrize("lora", [[{"name": "b"}], [{"id": 2}], [{}], [{"id": 0, "name": "a"}]])
def test_adapters_that_are_not_there_are_told(lora: list[Any]) -> None:
    from penjing.errors import InvalidRequest, Unsupported

    _, parsed = body(lora=lora)
    with pytest.raises(InvalidRequest, match="1 a"):
        check(parsed, CAN)
    with pytest.raises(Unsupported):
        check(parsed, Capabilities("m"))
