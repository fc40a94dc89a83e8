"""How much is left to others, on scripted machines: no clock."""

from __future__ import annotations

import pytest

from penjing.engines.llamacpp.scheduler.restraint import LONGEST, LOOK, Condition, Restraint, look

QUIET, BATTERY, HOT = Condition(), Condition(battery=True), Condition(hot=True)


@pytest.mark.parametrize(
    ("mode", "now", "allowed"),
    [
        ("max", BATTERY, 8),
        ("max", HOT, 8),
        ("balanced", QUIET, 8),
        ("balanced", BATTERY, 4),
        ("balanced", HOT, 4),
        ("eco", QUIET, 4),
        ("eco", HOT, 2),
    ],
)
def test_modes(mode: str, now: Condition, allowed: float) -> None:
    found = Restraint(8, mode=mode, look=lambda: now, clock=lambda: 0.0)
    assert found.allowed == allowed
    assert found.threads() == allowed
    assert Restraint(8, 0.5, mode, look=lambda: now, clock=lambda: 0.0).threads() == max(1, allowed / 2)


def test_fewer_threads_first_then_pauses() -> None:
    half = Restraint(4, 0.5)
    assert half.threads() == 2
    assert half.rest(1.0, 2) == 0
    sixth = Restraint(3, 1 / 6)
    assert sixth.threads() == 1
    assert sixth.rest(0.2, 1) == pytest.approx(0.2)  # as long as it computed: half of one core
    assert sixth.rest(60, 1) == LONGEST


def test_the_machine_is_looked_at_again() -> None:
    now, moment = QUIET, 0.0
    found = Restraint(8, mode="balanced", look=lambda: now, clock=lambda: moment)
    assert found.allowed == 8
    now = BATTERY
    assert found.allowed == 8
    moment = LOOK
    assert found.allowed == 4


def test_this_machine() -> None:
    assert isinstance(look(), Condition)
