"""The real library with the guide: what it computes is what llama.cpp's own server computes, and misuse is refused."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import llama_engine
from penjing.native import tensor
from penjing.native.batch import Batch
from penjing.native.context import Context
from penjing.native.faults import Aborted, CacheFull, DecodeFailed, LayoutUnknown, LoadFailed, WrongUse
from penjing.native.model import Model
from penjing.native.tensor import Tensor
from penjing.store.resolve import guide
from tiny_lora import write_tiny_lora
from tiny_model import Shape, write_tiny_gguf

NOISE = 0.3
"""Of a logit between batches of different shapes, whose sums are in another order; other tokens change it by 5."""
TEXT = "What is a KV cache? 什么是剪枝？"


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with Model(guide()) as found:
        yield found


def greedy(context: Context, tokens: list[int], count: int, sequence: int = 0) -> list[int]:
    found = [int(context.compute(tokens, sequence=sequence)[0].argmax())]
    batch = Batch(1)
    while len(found) < count:
        batch.clear()
        batch.add(found[-1], len(tokens) + len(found) - 1, [sequence], wanted=True)
        context.decode(batch)
        found.append(int(context.logits()[0].argmax()))
    return found


def test_as_the_server_computes(model: Model) -> None:
    tokens = model.tokenize(TEXT)
    with (
        llama_engine.running(guide(), model.vocabulary_size) as engine,
        Context(model, 256, threads=1, kv_type="f32", flash="off") as context,
    ):
        ours = greedy(context, tokens, 12)
        for index, token in enumerate(ours):
            assert int(np.nanargmax(engine.logprobs(tokens + ours[:index]))) == token
        theirs = engine.logprobs(tokens)
        mine = context.compute(tokens)[0].astype(np.float64)
        mine -= mine.max() + np.log(np.exp(mine - mine.max()).sum())
        assert np.nanmax(np.abs(mine - theirs)) < 1e-3


def test_every_token_has_its_logits(model: Model) -> None:
    tokens = (model.tokenize(TEXT) * 40)[:300]
    with Context(model, 512, threads=1, batch=128, ubatch=64) as context:
        everything = context.compute(tokens, everything=True)
        assert everything.shape == (300, 4096)
        for length in (1, 64, 65, 200, 300):
            assert np.allclose(context.compute(tokens[:length])[0], everything[length - 1], atol=NOISE)


def test_sequences_do_not_see_each_other(model: Model) -> None:
    texts = [model.tokenize(text) for text in (TEXT, "Hello", "Which models fit 8 GB?")]
    with Context(model, 512, 3, threads=1) as context, Context(model, 512, threads=1) as alone:
        batch = Batch(64)
        for sequence, tokens in enumerate(texts):
            batch.extend(tokens, 0, sequence, wanted=[False] * (len(tokens) - 1) + [True])
        context.decode(batch)
        assert context.logits().shape == (3, 4096)
        for row, tokens in zip(context.logits(), texts, strict=True):
            assert np.allclose(row, alone.compute(tokens)[0], atol=NOISE)


def test_a_prefix_is_shared(model: Model) -> None:
    prefix, rest = model.tokenize(TEXT), model.tokenize(" More.")
    with Context(model, 256, 2, threads=1) as context:
        expected = context.compute(prefix + rest)[0]
        context.memory.clear()
        context.compute(prefix)
        context.memory.copy(0, 1)
        batch = Batch(16)
        batch.extend(rest, len(prefix), 1)
        batch.wanted[len(rest) - 1] = True
        context.decode(batch)
        assert np.allclose(context.logits()[0], expected, atol=NOISE)
        assert context.memory.last(0) == len(prefix) - 1
        assert context.memory.last(1) == len(prefix) + len(rest) - 1


def test_one_token_of_two_sequences(model: Model) -> None:
    with Context(model, 64, 2, threads=1) as context:
        batch = Batch(4, shared=2)
        assert batch.add(5, 0, [0, 1], wanted=True) == 0
        context.decode(batch)
        assert context.memory.last(0) == context.memory.last(1) == 0


def test_removing_keeping_moving(model: Model) -> None:
    with Context(model, 256, 3, threads=1) as context:
        memory = context.memory
        context.compute(model.tokenize(TEXT))
        assert memory.first(0) == 0
        assert memory.remove(0, 4)
        assert memory.last(0) == 3
        memory.copy(0, 1, 1, 3)
        assert (memory.first(1), memory.last(1)) == (1, 2)
        assert memory.shiftable
        memory.shift(1, 1, 3, 5)
        assert (memory.first(1), memory.last(1)) == (6, 7)
        memory.keep(1)
        assert memory.last(0) == -1
        memory.clear()
        assert memory.last(1) == -1


def test_a_sequence_comes_back(model: Model) -> None:
    tokens = model.tokenize(TEXT)
    with Context(model, 256, 2, threads=1) as context:
        expected = greedy(context, tokens, 4)
        context.compute(tokens)
        held = context.memory.save(0)
        context.memory.clear()
        context.memory.load(1, held)
        assert context.memory.last(1) == len(tokens) - 1
        batch = Batch(1)
        batch.add(expected[0], len(tokens), [1], wanted=True)
        context.decode(batch)
        assert int(context.logits()[0].argmax()) == expected[1]
        with pytest.raises(DecodeFailed):
            context.memory.load(0, held[: held.nbytes // 2])
        assert context.memory.last(0) == -1


def test_a_state_of_other_types_is_refused(model: Model) -> None:
    with Context(model, 64, threads=1) as half, Context(model, 64, threads=1, kv_type="f32") as whole:
        half.compute([5, 6, 7])
        with pytest.raises(DecodeFailed):
            whole.memory.load(0, half.memory.save(0))


def test_a_full_cache(model: Model) -> None:
    with Context(model, 256, threads=1) as context:
        tokens = [5] * context.tokens
        context.compute(tokens)
        batch = Batch(1)
        batch.add(5, len(tokens))
        with pytest.raises(CacheFull, match="256"):
            context.decode(batch)
        assert context.memory.last(0) == len(tokens) - 1


def test_stopped_from_another_thread(model: Model) -> None:
    started = threading.Event()

    def watch(tensor: Tensor, before: bool) -> bool:
        started.set()
        return False

    with Context(model, 1024, threads=1, watcher=watch) as context:
        stopping = threading.Thread(target=lambda: (started.wait(), context.stop()))
        stopping.start()
        with pytest.raises(Aborted):
            context.compute([5] * 1024)
        stopping.join()
        context.compute([5])


def test_a_watcher_sees_operations_and_numbers(model: Model) -> None:
    found: list[tuple[str, str, tuple[int, ...]]] = []
    rows: list[np.ndarray[Any, Any]] = []

    def watch(tensor: Tensor, before: bool) -> bool:
        if tensor.op != "MUL_MAT" or not tensor.sources[0].name.endswith("ffn_down.weight"):
            return not before
        if not before:
            weights, activations = tensor.sources
            found.append((weights.name, weights.type, weights.shape))
            rows.append(activations.numbers())
            with pytest.raises(WrongUse, match="Q8_0"):
                weights.numbers()
        return True

    tokens = model.tokenize(TEXT)
    with Context(model, 256, threads=1, watcher=watch) as context:
        context.compute(tokens, everything=True)
    assert [name for name, _, _ in found] == [f"blk.{layer}.ffn_down.weight" for layer in range(6)]
    assert {kind for _, kind, _ in found} == {"Q8_0"}
    assert rows[0].shape == (1, 1, len(tokens), found[0][2][0])
    assert rows[0].dtype == np.float32
    assert np.isfinite(rows[0]).all()
    assert rows[0].std() > 0


def test_what_a_watcher_puts_is_computed_with(model: Model) -> None:
    """The last layer's feed-forward part adds nothing: as if its matrix were zeros."""
    before: list[np.ndarray[Any, Any]] = []

    def watch(tensor: Tensor, first: bool) -> bool:
        if tensor.op != "MUL_MAT" or tensor.sources[0].name != "blk.5.ffn_down.weight":
            return not first
        if not first:
            before.append(tensor.numbers())
            with pytest.raises(WrongUse, match="float64"):
                tensor.put(np.zeros((1, 1, 1, 1)))
            with pytest.raises(WrongUse, match="not float32"):
                tensor.sources[0].put(before[0])
            tensor.put(np.zeros_like(before[-1]))
            assert not tensor.numbers().any()
        return True

    tokens = model.tokenize(TEXT)
    with Context(model, 256, threads=1) as context:
        context.compute(tokens)
        plain = context.logits().copy()
    with Context(model, 256, threads=1, watcher=watch) as context:
        context.compute(tokens)
        changed = context.logits().copy()
    assert before[0].any()
    assert np.abs(changed - plain).max() > 0.1


def test_what_a_watcher_has_gathered_goes_with_the_context(model: Model) -> None:
    class Watch:
        def __call__(self, tensor: Tensor, before: bool) -> bool:
            return False

    watch = Watch()
    alive = weakref.ref(watch)
    gc.disable()
    try:
        with Context(model, 64, threads=1, watcher=watch) as context:
            context.compute([5])
        del watch
        assert alive() is None
    finally:
        gc.enable()


def test_what_a_watcher_raises_is_raised(model: Model) -> None:
    def watch(tensor: Tensor, before: bool) -> bool:
        context.decode(Batch(1))
        return True

    with Context(model, 64, threads=1, watcher=watch) as context:
        with pytest.raises(WrongUse, match="a batch of 0"):
            context.compute([5])
        context._watcher = lambda tensor, before: bool(context.close())
        with pytest.raises(WrongUse, match="must not close"):
            context.compute([5])
        context._watcher = lambda tensor, before: False
        context.compute([5])


def test_adapters(tmp_path: Path) -> None:
    tiny, lora = write_tiny_gguf(tmp_path / "tiny.gguf"), write_tiny_lora(tmp_path / "lora.gguf")
    with Model(tiny) as model, Model(tiny) as other, Context(model, 64, threads=1) as context:
        tokens, adapter = model.tokenize("Hello"), model.adapter(lora)
        plain = context.compute(tokens)
        context.adapt([(adapter, 1.0)])
        assert not np.allclose(context.compute(tokens), plain)
        context.adapt([])
        assert np.allclose(context.compute(tokens), plain)
        with pytest.raises(WrongUse, match="another model"):
            context.adapt([(other.adapter(lora), 1.0)])


def test_embeddings(model: Model) -> None:
    tokens = model.tokenize(TEXT)
    with Context(model, 64, threads=1, embeddings=True, pooling="mean") as context:
        batch = Batch(len(tokens))
        batch.extend(tokens, 0, wanted=True)
        context.decode(batch)
        assert context.pooled(0).shape == (model.width,)
        with pytest.raises(WrongUse):
            context.pooled(1)


def test_threads_change_between_steps(model: Model) -> None:
    with Context(model, 64, threads=1) as context:
        first = context.compute([5, 6]).copy()
        context.set_threads(2, 1)
        assert np.allclose(context.compute([5, 6]), first, atol=NOISE)
        with pytest.raises(WrongUse):
            context.set_threads(0)


@pytest.mark.parametrize(
    "facts",
    [{"sequences": 0}, {"sequences": 257}, {"tokens": 0}, {"kv_type": "q9"}, {"flash": "maybe"}, {"pooling": "x"}],
)
def test_contexts_that_cannot_be(model: Model, facts: dict[str, Any]) -> None:
    with pytest.raises(WrongUse):
        Context(model, **({"tokens": 64} | facts))


def test_a_context_that_does_not_fit(model: Model) -> None:
    with pytest.raises((LoadFailed, WrongUse)):
        Context(model, 64, kv_type="f16", value_type="q4_0", flash="off")


@pytest.mark.parametrize(
    ("token", "position", "sequence"), [(4096, 0, 0), (-1, 0, 0), (5, -1, 0), (5, 0, 1), (5, 0, -1), (5, 7, 0)]
)
def test_batches_that_cannot_be(model: Model, token: int, position: int, sequence: int) -> None:
    with Context(model, 64, threads=1) as context:
        context.compute([5])
        batch = Batch(1)
        batch.add(token, position, [sequence])
        with pytest.raises((WrongUse, DecodeFailed)):
            context.decode(batch)
        context.compute([5])


def test_batches_that_are_too_large(model: Model) -> None:
    batch = Batch(65)
    batch.extend([5] * 65, 0)
    for add in (lambda: batch.add(5, 65), lambda: batch.extend([5], 65)):
        with pytest.raises(WrongUse):
            add()
    with Context(model, 256, threads=1, batch=64) as context, pytest.raises(WrongUse, match="65"):
        context.decode(batch)
    with pytest.raises(WrongUse):
        Batch(0)


def test_a_cache_in_parts(model: Model) -> None:
    with Context(model, 512, 2, threads=1, unified=False) as context:
        context.compute([5, 6, 7])
        context.memory.copy(0, 1)
        assert context.memory.last(1) == 2
        with pytest.raises(WrongUse, match="its own"):
            context.memory.copy(0, 1, 0, 2)
        for misuse in (lambda: context.memory.remove(2), lambda: context.memory.last(-1)):
            with pytest.raises(WrongUse, match="sequence"):
                misuse()


def test_without_memory(tmp_path: Path) -> None:
    with Model(write_tiny_gguf(tmp_path / "tiny.gguf", Shape())) as model, Context(model, 64) as context:
        assert context.logits().shape == (0, model.vocabulary_size)


def test_other_tensors_are_noticed(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tensor.function
    monkeypatch.setattr(tensor, "_checked", False)
    monkeypatch.setattr(
        tensor, "function", lambda name, *rest: (lambda _: 1) if name == "ggml_get_name" else real(name, *rest)
    )
    with (
        Context(model, 64, threads=1, watcher=lambda tensor, before: False) as context,
        pytest.raises(LayoutUnknown, match="ggml_tensor"),
    ):
        context.compute([5])
