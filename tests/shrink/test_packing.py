from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.shrink.packing import IGNORED, Example, drawn, passes, rows

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def examples(lengths: list[int]) -> list[Example]:
    return [Example.of(list(range(100 * index, 100 * index + length))) for index, length in enumerate(lengths)]


@given(LENGTHS)
def test_every_example_is_in_one_row_and_no_row_is_longer_than_the_longest(lengths: list[int]) -> None:
    given = examples(lengths)
    packed = rows(given)
    assert sorted(id(each) for row in packed for each in row) == sorted(map(id, given))
    assert all(sum(len(each.tokens) for each in row) <= max(lengths) for row in packed)
    assert len(packed) <= 2 * -(-sum(lengths) // max(lengths))  # first fit is never worse than twice the least


def test_a_label_is_the_token_that_follows_where_it_is_learned() -> None:
    example = Example(np.array([5, 6, 7, 8]), np.array([True, False, True, True]))
    assert example.labels.tolist() == [IGNORED, 7, 8, IGNORED]


@given(st.integers(1, 20), st.integers(1, 9), st.integers(0, 3))
def test_an_epoch_has_each_example_once_and_follows_from_the_seed(count: int, size: int, seed: int) -> None:
    given = examples([3] * count)
    steps = [drawn(given, step, size, seed) for step in range(2 * count)]
    flat = [each for step in steps for each in step]
    for epoch in range(size):
        assert {id(each) for each in flat[epoch * count : (epoch + 1) * count]} == set(map(id, given))
    assert steps[count] == drawn(given, count, size, seed)


@pytest.mark.extras
@given(LENGTHS, st.integers(1, 4))
def test_tensors_keep_every_label_and_positions_begin_again(lengths: list[int], count: int) -> None:
    given = examples(lengths)
    batches = passes(given, count)
    assert len(batches) <= count
    assert sum(batch.learned for batch in batches) == sum(length - 1 for length in lengths)
    for batch in batches:
        wanted = batch.labels != IGNORED
        assert bool((batch.labels[wanted] == batch.tokens[wanted] + 1).all())
        assert bool((batch.positions == 0).sum() >= len(batch.tokens))
