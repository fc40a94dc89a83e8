from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.cli import talk
from penjing.errors import AccessError, InputError, PortInUse


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("PENJING_LANGUAGE", "en")


def test_colour_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert talk.painted("x", talk.RED, io.StringIO()) == "x"
    assert talk.painted("x", talk.RED, Terminal()) == "\033[31mx\033[0m"
    monkeypatch.setenv("TERM", "dumb")
    assert talk.painted("x", talk.RED, Terminal()) == "x"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert talk.painted("x", talk.RED, Terminal()) == "x"


def test_a_complaint_is_two_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    error = PortInUse(host="127.0.0.1", port=1, free=2)
    talk.complain(error)
    assert capsys.readouterr().err == (
        "error: Port 1 on 127.0.0.1 is in use by another program.\nnext: Choose another: --port 2\n"
    )
    monkeypatch.setenv("PENJING_LANGUAGE", "zh")
    talk.complain(AccessError())
    shown = capsys.readouterr()
    assert shown.err.startswith("错误：")
    assert shown.out == ""


def test_quiet_hushes_talk_but_neither_data_nor_errors(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talk, "_quiet", False)
    talk.hush()
    talk.note("{stage} ...", stage="x")
    talk.warn("stopped")
    talk.data("data")
    talk.complain(AccessError())
    shown = capsys.readouterr()
    assert shown.out == "data\n"
    assert shown.err.startswith("error:")
    assert "stopped" not in shown.err


def test_what_others_wrote_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    talk.complain(InputError(detail="a\033]0;b\a"))
    talk.note("{name}", name="a\033[2J")
    talk.warn("{name}", name="a\033[2J")
    assert "\033" not in capsys.readouterr().err


@given(st.text())
def test_nothing_printable_can_steer_a_terminal(text: str) -> None:
    shown = talk.printable(text)
    assert not any(ord(letter) < 32 and letter not in "\n\t" for letter in shown)
    assert not any(127 <= ord(letter) < 160 for letter in shown)
    assert [letter for letter in text if letter.isalnum()] == [letter for letter in shown if letter.isalnum()]
