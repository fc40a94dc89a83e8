"""Where layers go, by the rules of llama.cpp (`split`)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.plan import memory
from penjing.plan.split import most_layers, split
from penjing.probe.tensor import Tensor
from planned_models import llama

NAMES = ("token_embd.weight", *(f"blk.{layer}.ffn_up.weight" for layer in range(4)), "output.weight")
MODEL = llama(
    4, 256, 4, 2, 768, bytes=600, tensors=tuple(Tensor(name, (10, 10), "Q8_0", 0, 100) for name in NAMES)
)  # fmt: skip
TIED = replace(MODEL, bytes=500, tensors=MODEL.tensors[:-1])


@pytest.mark.parametrize(
    ("layers", "gpu", "cpu"),
    [(0, 0, 600), (1, 100, 500), (2, 200, 400), (5, 500, 100), (9, 500, 100), (-1, 0, 600)],
)
def test_the_output_goes_first_and_the_embedding_stays(layers: int, gpu: int, cpu: int) -> None:
    found = split(MODEL, 4096, 1, layers)
    assert (found.gpu.weights, found.cpu.weights) == (gpu, cpu)


def test_a_tied_embedding_is_on_both_sides() -> None:
    found = split(TIED, 4096, 1, 5)
    assert (found.gpu.weights, found.cpu.weights) == (500, 100)


def test_without_tensors_each_layer_has_its_share() -> None:
    found = split(replace(MODEL, tensors=()), 4096, 1, 2)
    assert (found.gpu.weights, found.cpu.weights) == (240, 360)


@given(st.integers(1, 1 << 15), st.integers(1, 4), st.integers(0, 5))
def test_the_cache_is_shared_out_whole(context: int, slots: int, layers: int) -> None:
    found = split(MODEL, context, slots, layers)
    assert found.gpu.kv + found.cpu.kv == memory.kv_cache(MODEL, context * slots, slots)


@given(st.integers(1, 1 << 15), st.integers(1, 4), st.integers(0, 1 << 28))
def test_as_many_layers_as_fit(context: int, slots: int, room: int) -> None:
    found = most_layers(MODEL, context, slots, room)
    assert not found or split(MODEL, context, slots, found).gpu.total <= room
    if found <= MODEL.layers:
        assert split(MODEL, context, slots, found + 1).gpu.total > room


@given(st.integers(1, 1 << 15), st.integers(0, 4))
def test_one_more_layer_on_the_gpu_never_needs_less_there(context: int, layers: int) -> None:
    fewer, more = (split(MODEL, context, 1, number) for number in (layers, layers + 1))
    assert more.gpu.total >= fewer.gpu.total
    assert more.cpu.weights <= fewer.cpu.weights
