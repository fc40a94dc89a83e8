from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.plan import memory
from penjing.plan.memory import Terms
from penjing.probe.facts import Model
from planned_models import llama

MIB = 1 << 20
SMALL = llama(4, 256, 4, 2, 768)
EVEN = llama(6, 512, 8, 8, 1536)
WIDE = llama(3, 1024, 16, 4, 4096)
GEMMA3 = llama(8, 128, 4, 2, 256, architecture="gemma3", sliding_window=300)
GEMMA2 = llama(5, 128, 4, 2, 256, architecture="gemma2", sliding_window=300)

# What llama.cpp (the library of xllamacpp 2026.10) reported, in MiB with two decimals: model, pool, slots, terms, KV
# bytes, compute MiB.
RECORDED = [
    (SMALL, 8192, 4, Terms(), 16777216, 15.02),
    (SMALL, 2048, 1, Terms(), 4194304, 9.02),
    (SMALL, 8192, 4, Terms(flash=False), 16777216, 83.51),
    (SMALL, 8192, 4, Terms("q8_0"), 8912896, 15.05),
    (EVEN, 3000, 3, Terms(), 37748736, 17.05),
    (WIDE, 16384, 1, Terms(), 50331648, 50.02),
    (WIDE, 16384, 1, Terms(flash=False), 50331648, 557.01),
    (WIDE, 65536, 4, Terms(ubatch=128), 201326592, 24.50),
    (WIDE, 65536, 4, Terms(ubatch=64), 201326592, 12.25),
    (GEMMA3, 16384, 4, Terms(), 7405568, 20.53),
    (GEMMA3, 4096, 1, Terms(), 2883584, 7.78),
    (GEMMA3, 8192, 2, Terms(ubatch=64), 3473408, 1.44),
    (GEMMA2, 16384, 4, Terms(), 9764864, 20.53),
    (GEMMA2, 4096, 1, Terms(), 2883584, 7.78),
    (GEMMA2, 8192, 2, Terms(ubatch=64), 4784128, 1.44),
]


@pytest.mark.parametrize(("model", "pool", "slots", "terms", "kv", "compute"), RECORDED)
def test_as_llama_cpp_allocates(model: Model, pool: int, slots: int, terms: Terms, kv: int, compute: float) -> None:
    assert memory.kv_cache(model, pool, slots, terms) == kv
    estimate = memory.compute(model, pool, slots, terms) / MIB
    assert 0.99 * compute <= estimate <= 1.08 * compute


def test_a_window_is_ignored_where_llama_cpp_ignores_it() -> None:
    assert memory.narrow_cells(llama(32, 4096, 32, 8, 14336, sliding_window=4096), 8192) == 0


def test_experts_that_are_used_count() -> None:
    mixture = llama(
        2, 256, 4, 2, 0, architecture="qwen3moe",
        metadata={"qwen3moe.expert_used_count": 8, "qwen3moe.expert_feed_forward_length": 768},
    )  # fmt: skip
    assert memory.active_feed_forward(mixture) == 6144


@given(
    budget=st.integers(0, 1 << 32),
    slots=st.integers(1, 16),
    most=st.integers(1, 1 << 17),
    kv_type=st.sampled_from(sorted(memory.KV_BYTES)),
)
def test_largest_context_fits_and_is_the_largest(budget: int, slots: int, most: int, kv_type: str) -> None:
    terms = Terms(kv_type)
    context = memory.largest_context(SMALL, budget, slots, terms, most=most)
    assert 0 <= context <= most
    if context:
        assert memory.need(SMALL, context, slots, terms).total <= budget
    if context < most:
        assert memory.need(SMALL, min(context + memory.CELLS, most), slots, terms).total > budget


MAMBA = llama(6, 256, 4, 2, 768, architecture="mamba2", metadata={"mamba2.ssm.state_size": 64})
COMPRESSED = llama(
    3, 256, 4, 1, 768, architecture="deepseek2",
    metadata={
        "deepseek2.attention.kv_lora_rank": 512, "deepseek2.rope.dimension_count": 64,
        "deepseek2.attention.key_length_mla": 192,
    },
)  # fmt: skip
models = st.sampled_from([SMALL, EVEN, WIDE, GEMMA3, GEMMA2, MAMBA, COMPRESSED])
terms = st.builds(
    Terms,
    kv_type=st.sampled_from(sorted(memory.KV_BYTES)),
    ubatch=st.sampled_from([64, 128, 512, 2048]),
    flash=st.booleans(),
)


@given(models, st.integers(1, 1 << 16), st.integers(1, 8), terms)
def test_more_of_anything_never_needs_less(model: Model, context: int, slots: int, terms: Terms) -> None:
    base = memory.need(model, context, slots, terms)
    for more in (
        memory.need(model, context + 1, slots, terms),
        memory.need(model, context + 4096, slots, terms),
        memory.need(model, context, slots + 1, terms),
        memory.need(replace(model, bytes=model.bytes + 1), context, slots, terms),
        memory.need(model, context, slots, replace(terms, ubatch=terms.ubatch * 2)),
        memory.need(model, context, slots, replace(terms, kv_type="f32")),
    ):
        assert more.total >= base.total
        assert more.kv >= base.kv
    assert base.resident >= base.total >= model.bytes


@given(st.integers(1, 1 << 16), st.integers(1, 8), terms)
def test_a_state_is_as_large_whatever_the_context(context: int, slots: int, terms: Terms) -> None:
    one = memory.need(MAMBA, 1, slots, terms)
    assert memory.need(MAMBA, context, slots, terms).kv == one.kv > 0


def test_compressed_keys_are_one_row_a_layer() -> None:
    assert memory.kv_cache(COMPRESSED, 256) == 3 * 256 * (512 + 64) * 2
