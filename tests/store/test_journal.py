"""What has arrived, written down so that any crash leaves less said than done."""

from __future__ import annotations

import itertools
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penjing.store.journal import Journal, merged, missing

SPANS = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 50)).map(lambda pair: (pair[0], sum(pair))), max_size=20)


@given(SPANS)
def test_spans_joined_and_what_is_missing_are_the_whole(spans: list[tuple[int, int]]) -> None:
    joined = merged(spans)
    held = {at for start, stop in spans for at in range(start, stop)}
    assert {at for start, stop in joined for at in range(start, stop)} == held
    assert all(one[1] < two[0] for one, two in itertools.pairwise(joined))
    gaps = {at for start, stop in missing(joined, 250) for at in range(start, stop)}
    assert gaps == set(range(250)) - held


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(spans=SPANS, cut=st.integers(0, 400))
def test_a_journal_cut_anywhere_says_no_more_than_was_done(
    tmp_path: Path, spans: list[tuple[int, int]], cut: int
) -> None:
    path = tmp_path / "journal"
    path.unlink(missing_ok=True)
    with Journal(path, "these files") as journal:
        assert journal.fresh
        for number, span in enumerate(spans):
            journal.add(number % 2, *span)
        whole = {file: journal.done(file) for file in (0, 1)}
    content = path.read_bytes()
    path.write_bytes(content[: max(0, len(content) - cut)])
    with Journal(path, "these files") as journal:
        for file in (0, 1):
            assert merged([*whole[file], *journal.done(file)]) == whole[file]
        journal.add(1, 500, 600)
        journal.forget(0)
    with Journal(path, "these files") as journal:
        assert not journal.fresh
        assert journal.done(0) == []
        assert journal.done(1)[-1][1] == 600


def test_of_other_files_it_says_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal", "these") as journal:
        journal.add(0, 0, 10)
    with Journal(tmp_path / "journal", "others") as journal:
        assert journal.fresh
        assert journal.done(0) == []
    (tmp_path / "journal").write_bytes(b"\xff\xfe\0")
    with Journal(tmp_path / "journal", "others") as journal:
        assert journal.fresh
