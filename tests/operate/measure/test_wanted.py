from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.operate.measure.figures import Goal
from penjing.operate.measure.wanted import GoalUnclear, SharedTooLong, TooLong, Wanted
from penjing.settings import load


def test_every_length_with_every_number_at_once() -> None:
    loads = Wanted(prompt=(8, 16), output_tokens=(4, 5), concurrency=(1, 2)).loads("m", 100)
    assert len(loads) == 8
    assert {(each.prompt, each.output, each.clients) for each in loads} >= {(8, 4, 1), (16, 5, 2)}


def test_a_rate_stands_in_for_clients_and_ends() -> None:
    (only,) = Wanted(prompt=(8,), rate=(2.5,)).loads("m", 0)
    assert (only.rate, only.clients, only.seconds) == (2.5, 1, 10.0)
    (counted,) = Wanted(prompt=(8,), rate=(2.5,), requests=3).loads("m", 0)
    assert (counted.requests, counted.seconds) == (3, 0.0)


def test_usual_prompts_that_do_not_fit_are_left_out_and_asked_ones_are_refused() -> None:
    assert {each.prompt for each in Wanted().loads("m", 256)} == {128}
    with pytest.raises(TooLong):
        Wanted(prompt=(512,)).loads("m", 256)
    with pytest.raises(TooLong):
        Wanted().loads("m", 64)


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("ttft=500ms", Goal(first=0.5)),
        ("TTFT<0.5s, tpot=50ms ,e2e<=10s", Goal(0.5, 0.05, 10.0)),
        ("itl=20ms", Goal(each=0.02)),
    ],
)
def test_goals(text: str, goal: Goal) -> None:
    assert Wanted(slo=text).goal() == goal


@given(st.text(alphabet="tfpe2=<smx.,0 ", min_size=1))
def test_a_goal_is_understood_whole_or_refused(text: str) -> None:
    try:
        goal = Wanted(slo=text).goal()
    except GoalUnclear:
        return
    assert goal is not None
    assert min(goal.first, goal.each, goal.whole) > 0


def test_what_is_shared_is_less_than_a_prompt() -> None:
    with pytest.raises(SharedTooLong):
        Wanted(prompt=(64, 32), shared_prompt=32)


def test_from_the_command_line() -> None:
    found = load(Wanted, "bench", {"prompt": "64, 128", "rate": "0.5", "rounds": "2"}).value
    assert (found.prompt, found.rate, found.rounds) == ((64, 128), (0.5,), 2)
