from __future__ import annotations

from penjing.cli.table import lines_of


def test_columns_align_in_chinese() -> None:
    assert lines_of([("内存", "1", "够用"), ("GPU", "20", "-")], 0) == ["  内存  1   够用", "  GPU   20  -"]


def test_the_last_column_wraps_under_itself() -> None:
    lines = lines_of([("a", "one two three four five six")], 30)
    assert lines == ["  a  one two three four five", "     six"]


def test_no_rows_are_no_lines() -> None:
    assert lines_of([], 80) == []
