from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penjing.fleet.hub.sending import matches, spans


@given(st.integers(1, 100), st.integers(0, 120), st.integers(0, 120))
def test_a_range_is_within_the_file_or_refused(size: int, first: int, last: int) -> None:
    span = spans(f"bytes={first}-{last}", size)
    if last < first:
        assert span == (0, size)  # no range at all, RFC 9110 14.1.1
    elif first >= size:
        assert span is None
    else:
        assert span == (first, min(last + 1, size))


@given(st.text(max_size=30), st.integers(0, 100))
def test_anything_is_answered(header: str, size: int) -> None:
    span = spans(header, size)
    assert span is None or 0 <= span[0] <= span[1] <= size


def test_the_end() -> None:
    assert spans("bytes=-3", 10) == (7, 10)
    assert spans("bytes=-0", 10) is None
    assert spans("bytes=-30", 10) == (0, 10)


def test_several_ranges_are_the_whole() -> None:
    assert spans("bytes=0-1,3-4", 10) == (0, 10)


def test_tags() -> None:
    assert matches('W/"b", "a"', '"a"')
    assert matches('W/"a"', '"a"')
    assert matches("*", '"a"')
    assert not matches("", '"a"')
    assert not matches('"ab"', '"a"')
