"""Free cores against a scripted system; once against the real one."""

from __future__ import annotations

import subprocess
import sys
import time

from penjing.engines.llamacpp.scheduler.room import LOOK, RESTED, Room


class Time:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_looks_now_and_then() -> None:
    clock, asked = Time(), iter([0.5, 1.5])
    room = Room(2, lap=lambda: next(asked), clock=clock)
    assert room.free(0.0) is None
    clock.now += LOOK
    assert room.free(LOOK) == 1.5
    assert room.free(0.0) is None
    clock.now += LOOK
    assert room.free(LOOK) == 0.5


def test_what_others_did_while_nothing_was_computed_is_no_news() -> None:
    clock, asked = Time(), iter([2.0, 0.0])
    room = Room(2, lap=lambda: next(asked), clock=clock)
    clock.now += 3 * LOOK
    assert room.free(LOOK) is None
    clock.now += 1.1 * LOOK
    assert room.free(LOOK) == 2


def test_after_a_rest_all_cores_are_taken_for_free() -> None:
    clock, asked = Time(), iter([1.0, 2.0, 1.0])
    room = Room(2, lap=lambda: next(asked), clock=clock)
    clock.now += LOOK
    assert room.free(LOOK) == 1
    clock.now += RESTED + 1.1 * LOOK
    assert room.free(LOOK) == 2
    clock.now += 1.1 * LOOK
    assert room.free(LOOK) == 1


def test_a_busy_program_is_seen() -> None:
    room, cores = Room(0), []
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            time.sleep(LOOK / 2)
            cores.append(room.free(LOOK / 2))
        child.kill()
    assert min(each for each in cores if each is not None) < -0.5  # of none, it takes one
