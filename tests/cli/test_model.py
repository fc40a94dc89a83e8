"""Which model, and what goes with it (opening one: test_serve, chat/test_session)."""

from __future__ import annotations

from penjing.cli.model import Chosen


def test_a_key_goes_to_no_other_server() -> None:
    at = Chosen("https://office:8000/v1", remote_key="secret", remote_model="big")
    assert at.other("https://office:8000").remote_key == "secret"
    for name in ("http://office:8000", "https://office:9000", "https://elsewhere:8000/v1", "guide", "./a.gguf"):
        assert at.other(name).remote_key == ""
    assert Chosen("guide", remote_key="secret").other("https://office:8000").remote_key == ""
