"""What a roofline must obey whatever the figures are; how right it is, bench/plan_accuracy.py tells."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.plan import devices, speed
from penjing.plan.speed import Load
from penjing.probe.calibrate import Calibration, Product
from penjing.probe.facts import Model
from penjing.probe.tensor import Tensor
from planned_models import llama

PHONE = devices.expected(devices.find("Snapdragon 8 Gen 3"))
SEVEN = llama(32, 4096, 32, 32, 11008, bytes=3_800_000_000, parameters=6_700_000_000, quantization="Q4_0")
rates = st.floats(1e8, 1e12)
tokens = st.integers(1, 1 << 14)


def machine(bandwidth: float = 2e10, compute: float = 1e11, **more: object) -> Calibration:
    """A measured machine of so many bytes/s and FLOP/s."""
    product = Product(compute, bandwidth, bandwidth / 2)
    told: dict[str, object] = {"matmul": {"Q8_0": product, "Q4_K": product}, "reading": ((1 << 20, bandwidth),)} | more
    known = Calibration(
        "a", "2026-11-21", "b", 2, bandwidth, bandwidth, {}, product, ((1, 1.0),), 1e-6, None, 0.01, 0, 9
    )
    return replace(known, **told)  # type: ignore[arg-type]  # facts by name


def tensors(kind: str, size: int, *, experts: str = "") -> tuple[Tensor, ...]:
    """One matrix of so many bytes a layer."""
    return tuple(Tensor(f"blk.{layer}.ffn_up{experts}.weight", (64, 64), kind, 0, size) for layer in range(32))


def decode(model: Model, calibration: Calibration, **load: int) -> float:
    return speed.predict(model, calibration, Load(**load)).decode_tokens_per_s.likely


def prefill(model: Model, calibration: Calibration, **load: int) -> float:
    return speed.predict(model, calibration, Load(**load)).prefill_tokens_per_s.likely


def test_a_phones_decode_is_bound_by_its_memory() -> None:
    found = speed.predict(SEVEN, PHONE)
    assert found.assumed
    assert 0.6 * PHONE.bandwidth / SEVEN.bytes < found.decode_tokens_per_s.likely < PHONE.bandwidth / SEVEN.bytes


def test_a_small_batch_by_hand() -> None:
    """One matrix of 1 GB at 20 GB/s is 50 ms; three more tokens at 10 GB/s: 100. An engine keeps a part."""
    model = replace(SEVEN, tensors=(Tensor("blk.0.ffn_up.weight", (1000, 1000), "Q8_0", 0, 10**9),), vocabulary=0)
    calm = machine(operation=0.0)
    assert speed.KEPT / decode(model, calm) == pytest.approx(0.05, rel=0.05)
    assert speed.KEPT * 4 / decode(model, calm, together=4) == pytest.approx(0.10, rel=0.05)


@given(rates, rates, st.integers(0, 1 << 14), st.integers(1, 64))
def test_an_interval_is_around_what_is_likely(bandwidth: float, compute: float, context: int, together: int) -> None:
    for found in (
        speed.predict(SEVEN, machine(bandwidth, compute), Load(context_tokens=context, together=together)),
        speed.predict(SEVEN, PHONE, Load(context_tokens=context, together=together)),
    ):
        for rate in (found.decode_tokens_per_s, found.prefill_tokens_per_s):
            assert 0 < rate.low < rate.likely < rate.high < math.inf


@given(rates, st.floats(1, 10), tokens, st.integers(1, 16))
def test_more_bandwidth_is_never_slower(bandwidth: float, more: float, context: int, together: int) -> None:
    slow, fast = machine(bandwidth), machine(bandwidth * more)
    load = {"context_tokens": context, "together": together}
    assert decode(SEVEN, fast, **load) >= decode(SEVEN, slow, **load) * (1 - 1e-9)
    assert prefill(SEVEN, fast, prompt_tokens=context) >= prefill(SEVEN, slow, prompt_tokens=context) * (1 - 1e-9)


@given(rates, st.floats(1, 10), tokens)
def test_more_compute_is_never_slower(compute: float, more: float, prompt: int) -> None:
    slow, fast = (machine(2e10, rate) for rate in (compute, compute * more))
    assert prefill(SEVEN, fast, prompt_tokens=prompt) >= prefill(SEVEN, slow, prompt_tokens=prompt) * (1 - 1e-9)


@given(st.integers(1, 1 << 30), st.integers(0, 1 << 30), st.integers(1, 16))
def test_larger_weights_never_decode_faster(size: int, more: int, together: int) -> None:
    small, large = (replace(SEVEN, tensors=tensors("Q8_0", of)) for of in (size, size + more))
    assert decode(large, machine(), together=together) <= decode(small, machine(), together=together)


@given(tokens, st.integers(0, 1 << 14), st.integers(1, 15))
def test_more_before_is_slower_and_more_at_once_serves_more(context: int, more: int, together: int) -> None:
    one = machine()
    assert decode(SEVEN, one, context_tokens=context + more) <= decode(SEVEN, one, context_tokens=context)
    alone = decode(SEVEN, one, context_tokens=context, together=together) / together
    crowded = decode(SEVEN, one, context_tokens=context, together=together + 1) / (together + 1)
    assert crowded <= alone * (1 + 1e-9)


def test_a_wider_cache_is_slower_and_a_narrower_one_no_faster() -> None:
    f16, f32, q8 = (
        speed.predict(SEVEN, machine(), Load(context_tokens=4096, kv_type=kind)).decode_tokens_per_s.likely
        for kind in ("f16", "f32", "q8_0")
    )
    assert f32 < f16 == q8


def test_only_the_experts_in_use_are_read() -> None:
    facts = {"llama.expert_used_count": 2}
    mixture = replace(SEVEN, tensors=tensors("Q8_0", 10**8, experts="_exps"), experts=16, metadata=facts)
    dense = replace(SEVEN, tensors=tensors("Q8_0", 10**8))
    assert 6 < decode(mixture, machine()) / decode(dense, machine()) < 8
    assert decode(mixture, machine(), together=4) < 4 * decode(mixture, machine())


def test_a_type_that_was_not_measured_is_like_its_nearest() -> None:
    unknown, nearest = (replace(SEVEN, tensors=tensors(kind, 10**8)) for kind in ("IQ4_NL", "Q4_K"))
    assert decode(unknown, machine()) == decode(nearest, machine())


def test_a_cache_raises_the_upper_end_alone() -> None:
    small = replace(SEVEN, tensors=tensors("Q8_0", 1 << 20))
    cached = machine(reading=((64 << 20, 8e10), (512 << 20, 2e10)))
    with_it, without = (speed.predict(small, one).decode_tokens_per_s for one in (cached, machine()))
    assert with_it.likely == without.likely
    assert with_it.high > 1.5 * without.high


def test_a_noisy_calibration_may_be_too_low() -> None:
    calm, noisy = (speed.predict(SEVEN, machine(load=load)).decode_tokens_per_s for load in (0.0, 0.5))
    assert noisy.high > calm.high
    assert noisy.low == calm.low


@given(st.floats(0, 10))
def test_tries_that_differ_widen_the_interval(spread: float) -> None:
    steady, shaky = (speed.predict(SEVEN, machine(spread=each)).decode_tokens_per_s for each in (0.0, spread))
    assert 0 < shaky.low <= steady.low
    assert shaky.high >= steady.high


@given(st.floats(1, 1e12))
def test_reading_is_between_its_points(size: float) -> None:
    points = ((1 << 20, 40e9), (64 << 20, 30e9), (512 << 20, 10e9))
    assert 10e9 <= speed.reading(points, size) <= 40e9
    assert speed.reading(points, size) >= speed.reading(points, size * 2)
