"""The end of a long list of texts, from samples."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.probe.leap import NEAR, SAMPLE, chained, end_of_texts


def text(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


def entry(key: bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: bytes, *sizes: int) -> bytes:
    return (
        text(name) + struct.pack("<I", len(sizes)) + struct.pack(f"<{len(sizes)}Q", *sizes) + struct.pack("<IQ", 8, 0)
    )


AFTER = {
    "a list of numbers": entry(b"tokenizer.ggml.token_type", 9, struct.pack("<IQ", 5, 60_000) + b"\1\0\0\0" * 60_000),
    "a number": entry(b"tokenizer.ggml.eos_token_id", 4, struct.pack("<I", 2))
    + tensor(b"a.weight", 64, 64)
    + bytes(9000),
    "a zero": entry(b"tokenizer.ggml.unknown_token_id", 4, bytes(4)) + entry(b"a.b", 7, b"\1") + bytes(20_000),
    "a template": entry(b"tokenizer.chat_template", 8, text(b"{{ x }}" * 5000)),
    "a tensor": tensor(b"token_embd.weight", 896, 151_936) + tensor(b"blk.0.attn_q.weight", 896, 896) + bytes(10_000),
}


@pytest.mark.parametrize("after", AFTER.values(), ids=AFTER.keys())
@settings(deadline=None, max_examples=12)
@given(
    seed=st.integers(0, 1 << 30),
    count=st.integers(9_000, 40_000),
    mean=st.integers(1, 60),
    growing=st.booleans(),
    before=st.integers(0, 500),
)
def test_the_end_is_found_exactly(after: bytes, seed: int, count: int, mean: int, growing: bool, before: int) -> None:
    chance = random.Random(seed)
    words = (
        chance.randbytes(1 + int(chance.expovariate(1 / mean)) * (number if growing else count) // count)
        for number in range(count)
    )
    listed = b"".join(map(text, words))
    content = bytes(before) + listed + after
    read_bytes = 0

    def read(spans: Sequence[tuple[int, int]]) -> list[bytes]:
        nonlocal read_bytes
        found = [content[at : at + length] for at, length in spans]
        read_bytes += sum(map(len, found))
        return found

    assert end_of_texts(read, before, count, len(content)) == before + len(listed)
    assert read_bytes < 400_000


@settings(deadline=None, max_examples=200)
@given(st.binary(min_size=0, max_size=3000), st.integers(1, 100_000))
def test_noise_never_breaks_it(noise: bytes, count: int) -> None:
    content = noise * 5
    found = end_of_texts(lambda spans: [content[at : at + n] for at, n in spans], 0, count, len(content))
    assert found is None or 0 <= found <= len(content)


def test_numbers_zeros_and_noise_are_no_chain() -> None:
    chance = random.Random(3)
    assert not chained(bytes(SAMPLE))
    assert not chained(b"\1\0\0\0" * (SAMPLE // 4))
    assert not chained(struct.pack("<f", -1.5) * (SAMPLE // 4))
    assert not any(chained(chance.randbytes(SAMPLE)) for _ in range(50))
    assert NEAR > SAMPLE
