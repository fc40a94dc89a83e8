"""Threads and chunks against scripted machines: no clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from penjing.engines.llamacpp.scheduler.pace import (
    CALM,
    LEAST,
    LONGEST,
    PATIENCE,
    RARE,
    RECENT,
    TILE,
    TRIES,
    Chunk,
    Pace,
    Threads,
)


def steps(threads: Threads, cost: Callable[[int], float], count: int) -> list[int]:
    """Compute `count` steps on a machine where one takes `cost` of the threads; how many each used."""
    found = []
    for _ in range(count):
        found.append(threads.next())
        threads.learn(found[-1], cost(found[-1]))
    return found


def quiet(threads: int) -> float:
    return 1 / threads


def busy(threads: int) -> float:
    """One of two cores belongs to another program, and threads wait for each other."""
    return 1.0 if threads == 1 else 10.0


def test_a_quiet_machine_keeps_all_threads() -> None:
    threads = Threads(2)
    found = steps(threads, quiet, 1000)
    assert threads.count == 2
    assert found.count(1) <= 1000 / CALM + 2  # a trial that is lost at once ends at once


def test_contention_is_felt_within_a_few_steps_and_left_again() -> None:
    threads = Threads(2)
    steps(threads, quiet, 30)
    found = steps(threads, busy, 30)
    assert threads.count == 1
    assert found.count(2) <= 6
    found = steps(threads, quiet, 3 * CALM)
    assert threads.count == 2


def test_long_steps_are_not_tried_in_vain() -> None:
    threads = Threads(2, long=True)
    threads.leave(2)
    assert steps(threads, quiet, 3 * RARE) == [2] * (3 * RARE)
    threads.leave(1.1)
    assert threads.next() == 2  # not believed
    found = steps(threads, busy, 2 * RECENT)
    assert threads.count == 1  # but looked into
    assert found.count(2) <= RECENT + TRIES
    threads.leave(2)
    assert threads.next() == 2


def test_a_trial_of_long_steps_ends_where_cores_are_free_again() -> None:
    threads = Threads(2, long=True)
    threads.leave(1)
    steps(threads, lambda count: 1.0, RECENT + 1)
    assert 1 in steps(threads, lambda count: 1.0, 2)
    threads.leave(2)
    assert steps(threads, quiet, 2 * CALM) == [2] * (2 * CALM)


def test_a_machine_that_was_busy_before_is_felt_as_soon() -> None:
    threads = Threads(2)
    found = steps(threads, busy, 20)
    assert threads.count == 1
    assert found.count(2) <= 12


def test_answers_that_come_and_go_do_not_keep_it_from_trying() -> None:
    threads = Threads(2)
    steps(threads, busy, 30)
    assert threads.count == 1
    for _ in range(2 * CALM // 4):
        threads.forget()
        steps(threads, quiet, 4)
    assert threads.count == 2


def test_who_knows_what_others_leave_believes_it_and_seldom_tries_more() -> None:
    threads = Threads(2)
    threads.leave(2.0)
    assert set(steps(threads, quiet, CALM)) == {2}
    threads.leave(1.1)
    found = steps(threads, busy, RARE // 2)
    assert found[0] == 1
    assert found.count(2) == 1  # a trial that is lost at once
    threads.leave(1.8)
    found = steps(threads, quiet, RARE // 2)
    assert found[0] == 2
    assert found.count(1) == 1


def test_what_others_leave_is_tried_and_no_more() -> None:
    """The step decides: here two are better though somebody says that one core is free."""
    threads = Threads(2)
    threads.leave(1.0)
    found = steps(threads, quiet, 4 * CALM)
    assert threads.count == 2
    assert found.count(1) < 30


def test_where_nothing_is_free_there_is_one() -> None:
    threads = Threads(4)
    threads.leave(0.3)
    assert threads.next() == 1


def test_a_little_more_or_less_is_no_news() -> None:
    threads = Threads(2)
    threads.leave(2.0)
    for free in (1.4, 1.9, 1.35) * 20:
        threads.leave(free)
        assert steps(threads, quiet, 4) == [2] * 4


def test_of_eight_as_many_as_are_free_are_tried_directly() -> None:
    threads = Threads(8)
    threads.leave(3.0)
    steps(threads, lambda count: 1 + abs(count - 3), CALM)
    assert threads.count == 3


def test_pace_hears_what_others_leave() -> None:
    told = iter([2.0, None, 1.0, *[None] * 1000])
    pace = Pace(2, 512, lambda last: next(told))
    for _ in range(30):
        pace.learn(pace.threads(0), 0, 1, busy(pace.used))
        pace.learn(pace.threads(100), 100, 1, busy(pace.used))
    assert pace.threads(0) == pace.threads(100) == 1


@pytest.mark.parametrize("at", range(5))
def test_a_trial_begins_again_with_either_number(at: int) -> None:
    """Answers change while a step is computed with the number that is tried."""
    threads = Threads(2)
    for count in range(4 * CALM):
        used = threads.next()
        if count % 5 == at:
            threads.forget()
        threads.learn(used, quiet(used))
    assert threads.count == 2


def test_noise_does_not_sway_it() -> None:
    threads, noise = Threads(4), iter([1.0, 1.02, 0.99, 1.01] * 1000)
    steps(threads, lambda count: next(noise), 2000)
    assert threads.count == 4


@pytest.mark.parametrize("best", [1, 2, 3, 4, 6, 8])
def test_the_best_number_is_found(best: int) -> None:
    threads = Threads(8)
    steps(threads, lambda count: 1 + abs(count - best), 60 * CALM)
    assert abs(threads.count - best) <= best // 4


def test_one_thread_is_one_thread() -> None:
    assert set(steps(Threads(1), busy, 500)) == {1}
    assert Threads(0).count == 1


def test_a_chunk_leaves_readers_their_time() -> None:
    chunk = Chunk(512)
    assert chunk.size(0) == 512
    assert chunk.size(1) == 8 * LEAST
    for _ in range(20):
        chunk.learn(0, 1, PATIENCE / 10)
        chunk.learn(100, 1, PATIENCE / 10 + 100 * 0.001)
    alone = chunk.size(4, 1)
    assert alone < chunk.size(4, 2) < chunk.size(4, 4) == chunk.size(1)
    assert chunk.size(1) == pytest.approx((LONGEST - PATIENCE / 10) / 0.001, rel=0.05)
    assert chunk.size(1000, 1) == pytest.approx(0.9 * PATIENCE / 0.001, rel=0.05)
    for _ in range(20):
        chunk.learn(100, 1, 10.0)
    assert chunk.size(1) == LEAST


def test_a_tile_is_worth_a_longer_step_where_small_steps_are_slow() -> None:
    chunk = Chunk(512)
    for _ in range(20):
        chunk.learn(0, 4, PATIENCE / 3)
        chunk.learn(LEAST, 4, PATIENCE / 3 + LEAST * 0.025)
        chunk.learn(256, 0, 256 * 0.005)
    assert chunk.size(4) == TILE
    for _ in range(20):
        chunk.learn(256, 4, 256 * 0.020)
    assert chunk.size(4) == LEAST


def test_the_two_kinds_of_step_learn_apart() -> None:
    pace = Pace(2, 512)
    for _ in range(300):
        threads = pace.threads(0)
        pace.learn(threads, 0, 1, busy(threads))
        reading = pace.threads(100)
        pace.learn(reading, 100, 1, quiet(reading))
    assert pace.threads(0) == 1 or pace.threads(0) == 2
    assert pace._answering.count == 1
    assert pace._reading.count == 2
