from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penjing.engines.llamacpp.scheduler.beginnings import Beginnings, Tokens

SMALL = st.lists(st.sampled_from([0, 1, 255, 256, 0xFFFF]), min_size=1, max_size=6)
TOKENS = SMALL | st.lists(st.sampled_from([0, 1, 70_000, 65_792, 1 << 18]), min_size=1, max_size=6)


def tokens(one: list[int]) -> Tokens:
    return np.asarray(one, np.int32)


def same(one: list[int], other: list[int]) -> int:
    """How many both begin with, one by one."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


@given(st.lists(SMALL, max_size=20) | st.lists(TOKENS, max_size=20), st.lists(TOKENS, max_size=4), TOKENS)
def test_as_looking_at_each(added: list[list[int]], dropped: list[list[int]], wanted: list[int]) -> None:
    found, plain = Beginnings(), list[list[int]]()
    for one in added:
        useless = found.add(tokens(one))
        longer = [each for each in plain if each != one and same(each, one) == len(one)]
        shorter = [each for each in plain if each != one and same(each, one) == len(each)]
        expected = [one] if longer else shorter
        assert ([] if useless is None else [useless.tolist()]) == expected
        plain = [each for each in plain if each not in shorter]
        if one not in plain and not longer:
            plain.append(one)
    for one in dropped:
        found.drop(tokens(one))
        plain = [each for each in plain if each != one]
    assert sorted(each.tolist() for each in found) == sorted(plain)
    nearest, most = found.nearest(tokens(wanted))
    assert most == max((same(each, wanted) for each in plain), default=0)
    assert same(nearest.tolist(), wanted) == most
    assert nearest.tolist() in plain or not plain
