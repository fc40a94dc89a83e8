from __future__ import annotations

import json

import pytest

from penjing.operate.measure.sample import Sample, sample
from penjing.operate.measure.wire import Heard


def event(moment: float, **choice: object) -> tuple[float, bytes]:
    return moment, b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def word(moment: float, text: str = "a") -> tuple[float, bytes]:
    return event(moment, delta={"content": text}, finish_reason=None)


def counted(moment: float, prompt: int, answer: int, cached: int = 0) -> tuple[float, bytes]:
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    return moment, b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"


END = event(2.0, delta={}, finish_reason="length")


def test_times_and_rates_of_an_answer() -> None:
    pieces = [word(1.1), word(1.2), word(1.4), END, counted(2.0, 50, 3, 10)]
    found = sample(Heard(asked=1.0, ended=2.0, status=200, pieces=pieces))
    assert found.first == pytest.approx(0.1)
    assert found.gaps == pytest.approx([0.1, 0.2])
    assert found.each == pytest.approx(0.15)
    assert found.decode == pytest.approx(1 / 0.15)
    assert found.prefill == pytest.approx(40 / 0.1)
    assert (found.whole, found.prompt_tokens, found.completion_tokens, found.cached_tokens) == (1.0, 50, 3, 10)


def test_without_usage_events_are_tokens() -> None:
    found = sample(Heard(0.0, 3.0, 200, [word(1.0), word(2.0), END]))
    assert (found.completion_tokens, found.prompt_tokens, found.prefill) == (2, 0, 0.0)


@pytest.mark.parametrize(
    ("heard", "error"),
    [
        (Heard(status=200, pieces=[word(1.0)]), "a stream without an end"),
        (Heard(status=200, pieces=[END]), "an answer without a token"),
        (Heard(status=503, pieces=[(1.0, b'{"error": {"message": "busy"}}')]), "HTTP 503: busy"),
        (Heard(status=502, pieces=[(1.0, b"<html>bad gateway")]), "HTTP 502: <html>bad gateway"),
        (
            Heard(status=200, pieces=[(1.0, b'data: {"error": {"message": "the engine ended"}}\n\n')]),
            "the engine ended",
        ),
        (Heard(error="the connection broke off"), "the connection broke off"),
    ],
)
def test_what_does_not_count(heard: Heard, error: str) -> None:
    assert sample(heard).error == error


def test_thinking_and_calls_are_part_of_the_answer() -> None:
    thinking = event(1.0, delta={"reasoning_content": "hm"})
    calling = event(2.0, delta={"tool_calls": [{"function": {"arguments": "{"}}]})
    assert sample(Heard(status=200, pieces=[thinking, calling, END])).moments == (1.0, 2.0)


def test_one_token_has_no_rate() -> None:
    assert Sample(0.0, 1.0, (0.5,), completion_tokens=1).decode == 0.0
