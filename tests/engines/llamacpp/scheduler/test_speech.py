"""Tokens are single bytes here, so that letters, stops and marks are cut at every place."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.engines.llamacpp.scheduler.asked import LENGTH, STOP, Said
from penjing.engines.llamacpp.scheduler.speech import Piece, Speech

BYTES: Any = SimpleNamespace(piece=lambda token, special=False: bytes([token]))
END = 256


def spoken(text: str, finish: str = STOP, **options: Any) -> list[Piece]:
    """What is heard of `text`, until it ends."""
    speech = Speech(BYTES, **options)
    raw = list(text.encode())
    said = [Said(token) for token in raw] + [Said(END, finish)]
    if finish == LENGTH:
        said = [*said[:-2], Said(raw[-1], LENGTH)]
    found: list[Piece] = []
    for one in said:
        found.append(speech.hear(one))
        if found[-1].finish:
            break
    return found


def content(pieces: list[Piece]) -> str:
    return "".join(piece.content for piece in pieces)


def reasoning(pieces: list[Piece]) -> str:
    return "".join(piece.reasoning for piece in pieces)


@settings(max_examples=50)
@given(
    st.text(max_size=20), st.lists(st.text("ab盆", min_size=1, max_size=3), max_size=2), st.sampled_from([STOP, LENGTH])
)
def test_text_up_to_the_first_stop(text: str, stops: list[str], finish: str) -> None:
    text = "ab" + text
    at = min((place for place in map(text.find, stops) if place >= 0), default=len(text))
    pieces = spoken(text, finish, stops=stops)
    assert content(pieces) == text[:at]
    assert pieces[-1].finish == (STOP if at < len(text) else finish)
    assert [piece.finish for piece in pieces[:-1]] == [""] * (len(pieces) - 1)


@pytest.mark.parametrize(
    ("text", "thinking", "thoughts", "answer"),
    [
        ("<think>\nso\n\nwhat </think>\n\nWell.", False, "so\n\nwhat", "Well."),
        ("so</think>Well.", True, "so", "Well."),
        ("<think>\n\n</think>\n\nWell.", False, "", "Well."),
        ("Well <think>no</think>.", False, "", "Well <think>no</think>."),
        ("<thin ice>", False, "", "<thin ice>"),
        ("<think>never ends", False, "never ends", ""),
        ("<think>a < b </thin air", False, "a < b </thin air", ""),
        ("  ", False, "", "  "),
    ],
)
def test_thoughts_apart(text: str, thinking: bool, thoughts: str, answer: str) -> None:
    pieces = spoken(text, apart=True, thinking=thinking)
    assert (reasoning(pieces), content(pieces)) == (thoughts, answer)
    assert content(spoken(text)) == text


def test_bytes_that_are_no_letters() -> None:
    speech = Speech(BYTES)
    assert speech.hear(Said(0xE7)).content == ""
    assert speech.hear(Said(ord("x"), LENGTH)).content == "\ufffdx"
    assert Speech(BYTES).hear(Said(0xE7, LENGTH)).content == ""
