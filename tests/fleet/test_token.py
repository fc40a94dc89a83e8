from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.fleet import token
from penjing.fleet.faults import BadToken


@given(st.binary(max_size=80))
def test_what_was_written_is_read(root: bytes) -> None:
    made = token.new(root)
    assert token.parse(f"  {made}\n") == made
    assert made.root == hashlib.sha256(root).digest()


@given(st.text(max_size=120))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        token.parse(text)


@given(st.integers(0, 80))
def test_a_part_of_one_is_refused(cut: int) -> None:
    text = str(token.new(b"root"))
    with pytest.raises(BadToken):
        token.parse(text[: min(cut, len(text) - 1)])
