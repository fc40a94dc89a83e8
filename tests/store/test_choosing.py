"""The quantization that a machine is given when nobody said which."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from penjing.plan import devices, place
from penjing.plan.answer import Candidate
from penjing.plan.offered import offered
from penjing.plan.place import Place
from penjing.probe.calibrate import Calibration
from penjing.probe.facts import Model
from penjing.sources.names import Reference
from penjing.sources.source import Listing, RemoteFile
from penjing.sources.variants import Variant, variants
from penjing.store.choosing import NothingFits, among

BITS = {"Q2_K": 3.0, "Q3_K_M": 3.9, "IQ4_XS": 4.3, "Q4_K_M": 4.85, "Q6_K": 6.56, "Q8_0": 8.5, "BF16": 16.0}
EXACT = {"BF16": 16.0, "F32": 32.0}
GB = 10**9
PARAMETERS = 8 * GB
MODEL = Model(
    path=Path("m.gguf"),
    format="gguf",
    architecture="llama",
    parameters=PARAMETERS,
    bytes=5 * GB,
    layers=32,
    embedding=4096,
    heads=32,
    kv_heads=8,
    key_length=128,
    value_length=128,
    feed_forward=14336,
    vocabulary=128_000,
    context=131_072,
)


def size(bits: float) -> int:
    return int(PARAMETERS * bits / 8)


LISTING = Listing(
    Reference("hf", "o/r"), "", tuple(RemoteFile(f"m-{label}.gguf", size(bits), "") for label, bits in BITS.items())
)


HERE = place.here(replace(devices.machine(devices.find("Desktop DDR5")), memory_available=64 * GB))
"""Quick: 8 cores, memory of 67 GB/s, a speed that is assumed."""


def known(bits: dict[str, float] = BITS, model: Model = MODEL) -> dict[str, tuple[Variant, Candidate]]:
    files = tuple(RemoteFile(f"m-{label}.gguf", size(wide), "") for label, wide in bits.items())
    found = variants(replace(LISTING, files=files))
    return offered(replace(model, bytes=found[0].bytes, quantization=found[0].label), found[0], found)


def with_free(free: float, calibration: Calibration | None = None) -> Place:
    return place.here(replace(HERE.machine, memory_available=int(free * GB)), calibration)


def at_bandwidth(rate: float) -> Calibration:
    """As a machine that was measured, whose memory reads so many bytes a second."""
    slow = replace(devices.find("Desktop DDR5"), bandwidth=rate, sustained=1.0)
    return replace(devices.expected(slow), when="2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("free", "label", "reason"),
    [
        (64, "Q4_K_M", "fast"),
        (12, "Q4_K_M", "fast"),
        (6, "Q4_K_M", "fits"),
        (5.6, "IQ4_XS", "fits"),
        (4.4, "Q2_K", "fits"),
        (3.6, "Q2_K", "tight"),
    ],
)
def test_the_best_that_fits(free: float, label: str, reason: str) -> None:
    found = among(LISTING, known(), with_free(free))
    assert (found.variant.label, found.reason) == (label, reason)
    assert found.others == len(BITS) - 1
    assert found.context > 0
    assert found.pace == 0.0


def test_a_measured_machine_is_given_what_it_answers_quickly_with() -> None:
    large = among(LISTING, known(), with_free(64, at_bandwidth(400 * GB)))
    assert (large.variant.label, large.reason) == ("Q8_0", "best")
    slow = among(LISTING, known(), with_free(64, at_bandwidth(10 * GB)))
    assert slow.reason == "slow"
    assert slow.variant.label in ("IQ4_XS", "Q4_K_M")
    assert 0 < slow.pace < 10


def test_more_memory_never_means_fewer_bits() -> None:
    sizes = [among(LISTING, known(), with_free(free / 4)).variant.bytes for free in range(15, 160)]
    assert sizes == sorted(sizes)


def test_a_card_decides_where_it_holds_one_that_hardly_differs() -> None:
    found = among(LISTING, known(), with_free(64), gpu_memory=8 * GB)
    assert (found.variant.label, found.reason, found.free) == ("Q6_K", "gpu", 8 * GB)
    assert among(LISTING, known(), with_free(64), gpu_memory=3 * GB).reason != "gpu"


def test_nothing_fits() -> None:
    with pytest.raises(NothingFits, match=r"3\.\d GB.*2\.0 GB") as refused:
        among(LISTING, known(), with_free(2))
    assert "hf:o/r:Q2_K" in refused.value.advice("en")


def test_a_short_context_is_no_fault_of_the_machine() -> None:
    short = replace(MODEL, context=1024)
    assert among(LISTING, known(model=short), with_free(64, at_bandwidth(400 * GB))).reason == "best"


def test_where_all_are_exact_the_smallest_of_them_is_enough() -> None:
    found = among(LISTING, known(EXACT), with_free(64, at_bandwidth(400 * GB)))
    assert (found.variant.label, found.reason) == ("BF16", "best")
