from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penjing.cli.command import SECRET, command


@given(st.lists(st.sampled_from(["bench", "--json", "a b"])), st.sampled_from(SECRET), st.booleans())
def test_no_secret_is_written(before: list[str], name: str, together: bool) -> None:
    secret = [f"{name}=hunter2"] if together else [name, "hunter2"]
    assert "hunter2" not in command([*before, *secret, "--quiet"])
