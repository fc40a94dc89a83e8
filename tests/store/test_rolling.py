"""Cutting by content."""

from __future__ import annotations

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.store.rolling import COARSE, FINE, WINDOW, Hashing, gear, lengths

NOISE = random.Random(7).randbytes(1_500_000)


def ends(content: bytes, block: int = 1 << 20) -> list[int]:
    blocks = (content[at : at + block] for at in range(0, len(content), block))
    return list(itertools.accumulate(lengths(blocks, FINE)))


def test_sizes() -> None:
    for sizes in (FINE, COARSE):
        found = list(lengths([NOISE], sizes))
        assert sum(found) == len(NOISE)
        assert all(sizes.least <= size <= sizes.most for size in found[:-1])
        assert sizes.average / 2 < len(NOISE) / len(found) < sizes.average * 2


@settings(max_examples=20)
@given(st.integers(100, 200_000))
def test_blocks_do_not_matter(block: int) -> None:
    assert ends(NOISE[:300_000], block) == ends(NOISE[:300_000])


@given(st.integers(0, 299_000), st.binary(max_size=100))
def test_a_change_moves_few_chunks(place: int, inserted: bytes) -> None:
    before = NOISE[:300_000]
    after = before[:place] + inserted + before[place:]
    shift = len(inserted)
    kept = {end + shift for end in ends(before) if end > place} & set(ends(after))
    lost = [end for end in ends(before) if end > place and end + shift not in kept]
    assert [end for end in ends(before) if end <= place - WINDOW] == [
        end for end in ends(after) if end <= place - WINDOW
    ]
    assert len(lost) * FINE.average < 20 * FINE.most


def test_the_hash_is_what_it_is_said_to_be() -> None:
    numbers = [int(number) for number in gear()]
    value, wanted = 0, []
    for place, byte in enumerate(NOISE[:200_000]):
        value = ((value << 1) + numbers[byte]) & 0xFFFFFFFF
        if value < 1 << (32 - 13 + 2):
            wanted.append(place + 1)
    hashing, found, seen = Hashing(FINE.average), [], 0
    for at in range(0, 200_000, 50_000):
        found += [seen + place for place in hashing.places(NOISE[at : at + 50_000])[0]]
        seen += 50_000
    assert found == wanted


def test_zeros() -> None:
    assert list(lengths([bytes(100_000)], FINE)) in (
        [FINE.most] * 3 + [100_000 - 3 * FINE.most],
        [FINE.least] * 48 + [1696],
    )
