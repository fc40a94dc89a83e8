"""The check finds what differs, refuses its mark for it, and cannot be fooled by numbers that are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from penjing.errors import ModelError
from penjing.export import check as checking
from penjing.export.check import DECODED, OtherVocabulary, Prompt, compare, divergence, judge, limits

WIDTH = 50
PROMPTS = [Prompt("en", (1, 2, 3)), Prompt("zh", (4, 5))]


class Table:
    """A runtime whose logits are a row for the last token and how many there were."""

    def __init__(self, noise: float = 0.0, wrong_after: int = 1 << 30, width: int = WIDTH) -> None:
        self.rows = np.random.default_rng(0).normal(size=(WIDTH, width)).astype(np.float32)
        self.rows += noise * np.random.default_rng(1).normal(size=self.rows.shape).astype(np.float32)
        self.wrong_after, self.read = wrong_after, 0
        self.seen: list[int] = []

    def prefill(self, ids: Sequence[int]) -> NDArray[np.float32]:
        self.read, self.seen = len(ids), list(ids)
        return self.rows[list(ids)].copy()

    def decode(self, token: int) -> NDArray[np.float32]:
        self.read += 1
        self.seen.append(token)
        row = self.rows[token].copy()
        return row[::-1].copy() if self.read > self.wrong_after else row

    def close(self) -> None:
        pass


def verdict(child: Table, bits: float = 32.0) -> checking.Check:
    return judge("mine", "fp32", bits, *compare(Table(), child, PROMPTS))


def test_the_same_model_is_verified_and_saved(tmp_path: Path) -> None:
    made = verdict(Table())
    assert made.verified
    assert made.whole.max_abs_error == made.whole.kl == 0
    assert made.whole.tokens == 3 + 2 + 2 * DECODED
    assert {name: each.tokens for name, each in made.languages.items()} == {"en": 3 + DECODED, "zh": 2 + DECODED}
    checking.save(made, tmp_path)
    assert checking.load(tmp_path) == made
    (tmp_path / checking.NAME).write_text("{")
    with pytest.raises(ModelError):
        checking.load(tmp_path)


def test_both_read_what_the_parent_found_likeliest() -> None:
    parent, child = Table(), Table(noise=0.5)
    compare(parent, child, PROMPTS)
    assert parent.seen == child.seen
    assert len(parent.seen) == 2 + DECODED


def test_a_cache_that_breaks_while_decoding_is_found() -> None:
    """Prefill alone would pass: the fault shows after the twentieth token."""
    made = verdict(Table(wrong_after=20), bits=4.5)
    assert not made.verified
    assert "top-1 agreement" in made.failed


def test_noise_passes_for_few_bits_only() -> None:
    assert verdict(Table(noise=0.02), bits=8.5).verified
    assert verdict(Table(noise=0.02), bits=32.0).failed == ("KL", "max abs error")


def test_one_language_that_fails_is_enough() -> None:
    whole, languages = compare(Table(), Table(), PROMPTS)
    languages["zh"] = replace(languages["zh"], kl=1.0)
    assert judge("mine", "int8", 8.5, whole, languages).failed == ("KL",)


def test_numbers_that_are_none_fail() -> None:
    child = Table()
    child.rows[:] = np.nan
    assert set(verdict(child, bits=4).failed) == {"KL", "max abs error", "top-1 agreement"}


def test_a_head_may_be_padded_but_not_cut() -> None:
    padded = Table(width=WIDTH)
    padded.rows = np.hstack([Table().rows, np.full((WIDTH, 14), -9.0, np.float32)])
    assert verdict(padded).verified
    with pytest.raises(OtherVocabulary):
        verdict(Table(width=WIDTH - 1))


def test_divergence_is_kullback_and_leiblers() -> None:
    wanted, found = np.log(np.array([[0.5, 0.5]], np.float32)), np.log(np.array([[0.25, 0.75]], np.float32))
    assert divergence(wanted, found)[0] == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3), abs=1e-6)


def test_limits_get_wider_with_fewer_bits() -> None:
    allowed = [limits(bits) for bits in (32.0, 16.0, 8.5, 4.5)]
    assert [each.kl for each in allowed] == sorted(each.kl for each in allowed)
    assert [each.top1 for each in allowed] == sorted((each.top1 for each in allowed), reverse=True)
