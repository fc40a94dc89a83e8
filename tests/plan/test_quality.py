from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.plan import quality
from penjing.plan.quality import GRADES, known, of


def test_a_published_type_is_measured_and_names_its_source() -> None:
    found = of("Q4_K_M", 4.9)
    assert (found.kl, found.perplexity, found.basis) == (0.031273, 0.175482, "measured")
    assert found.source.startswith("https://")
    assert found.model == "Llama 3 8B"


@pytest.mark.parametrize(
    ("label", "basis"),
    [
        ("UD-Q4_K_XL", "relative"),
        ("Q5_K", "measured"),
        ("BF16", "measured"),
        ("guide", "assumed"),
        ("TQ2_0", "assumed"),
    ],
)
def test_what_it_rests_on(label: str, basis: str) -> None:
    assert of(label, 4.0).basis == basis


def test_nothing_is_known_of_an_unknown_one() -> None:
    assert known("guide") is None


@given(st.floats(0.5, 40))
def test_an_assumed_one_is_like_the_nearest_in_size(bits: float) -> None:
    found = of("unheard", bits)
    assert found.bits == bits
    assert found.grade in GRADES


def test_more_bits_of_a_family_lose_less() -> None:
    table = quality._table()
    for family in (
        ("Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16"),
        ("IQ1_S", "IQ2_XS", "IQ3_S", "IQ4_XS"),
    ):
        losses = [table[label].kl for label in family]
        assert losses == sorted(losses, reverse=True)
    assert all(entry.kl > 0 and entry.bits > 1 for entry in table.values())
