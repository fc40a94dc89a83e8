"""The quantization that a machine is given when nobody said which."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from penjing.probe.facts import Model
from penjing.sources.names import Reference
from penjing.sources.source import Listing, RemoteFile
from penjing.sources.variants import Variant, variants
from penjing.store.choosing import Choice, NothingFits, among

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
KNOWN: tuple[Variant, ...] = variants(LISTING)


def chosen(free: float, rate: float = 0.0) -> Choice:
    return among(LISTING, KNOWN, MODEL, int(free * GB), rate)


@pytest.mark.parametrize(
    ("free", "label", "reason"),
    [
        (64, "Q8_0", "comfortable"),
        (16, "Q6_K", "comfortable"),
        (12, "Q4_K_M", "comfortable"),
        (8, "Q6_K", "fits"),
        (5.0, "Q3_K_M", "fits"),
        (4.2, "Q2_K", "fits"),
        (3.7, "Q2_K", "tight"),
    ],
)
def test_the_best_that_fits(free: float, label: str, reason: str) -> None:
    found = chosen(free)
    assert (found.variant.label, found.reason) == (label, reason)
    assert found.others == len(BITS) - 1
    assert found.context > 0


def test_a_measured_machine_is_given_what_it_answers_quickly_with() -> None:
    assert chosen(64, rate=100 * GB).variant.label == "Q8_0"
    quick = chosen(64, rate=8 * size(5.0))
    assert (quick.variant.label, quick.reason) == ("Q4_K_M", "comfortable")
    assert quick.pace == pytest.approx(8 * 5 / 4.85)
    slow = chosen(64, rate=2 * GB)
    assert (slow.variant.label, slow.reason) == ("IQ4_XS", "slow")


def test_more_memory_never_means_fewer_bits() -> None:
    sizes = [chosen(free).variant.bytes for free in (4.2, 5.5, 8)]
    assert sizes == sorted(sizes)


def test_nothing_fits() -> None:
    with pytest.raises(NothingFits, match=r"3\.\d GB.*2\.0 GB") as refused:
        chosen(2)
    assert "hf:o/r:Q2_K" in refused.value.advice("en")


def test_a_short_context_is_no_fault_of_the_machine() -> None:
    small = replace(MODEL, context=1024)
    assert among(LISTING, KNOWN, small, 64 * GB).reason == "comfortable"


def test_where_all_are_exact_the_smallest_of_them_is_enough() -> None:
    known = variants(replace(LISTING, files=tuple(RemoteFile(f"m-{n}.gguf", size(b), "") for n, b in EXACT.items())))
    found = among(LISTING, known, MODEL, 64 * GB)
    assert (found.variant.label, found.reason) == ("BF16", "fits")
