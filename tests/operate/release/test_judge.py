from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.gateway.arms import Sample, Thumb
from penjing.operate.release.evidence import _log_at_most, evidence, fewest, of_share
from penjing.operate.release.judge import GATES, Judge, Standing

Answer = Callable[[random.Random, str, float], list[Sample | Thumb]]


def decided(answer: Answer, seed: int, share: float = 0.3, most: int = 200, risk: float = 0.05) -> tuple[str, int]:
    """The verdict, and how many conversations the canary had."""
    chance = random.Random(seed)
    judge = Judge(share, most, risk)
    while judge.verdict == "undecided":
        lot = chance.random()
        for heard in answer(chance, "canary" if lot < share else "stable", lot):
            judge.hear(heard)
    return judge.verdict, judge.conversations["canary"]


def like(fails: float = 0.02, dislikes: float = 0.1, slower: float = 1.0, refuses: float = 0.01) -> Answer:
    """A canary with these rates beside a stable version with the default ones."""

    def answer(chance: random.Random, arm: str, lot: float) -> list[Sample | Thumb]:
        new = arm == "canary"
        sample = Sample(
            "m",
            arm,
            lot,
            failed=chance.random() < (fails if new else 0.02),
            refused=chance.random() < (refuses if new else 0.01),
            ttft=chance.lognormvariate(0, 0.3) * (slower if new else 1),
            rate=chance.lognormvariate(3, 0.3) / (slower if new else 1),
        )
        disliked = chance.random() < (dislikes if new else 0.1)
        return [sample, *([Thumb("m", arm, lot, up=False)] if disliked else [])]

    return answer


@pytest.mark.parametrize(
    "worse",
    [like(fails=0.5), like(dislikes=0.6), like(slower=2.5), like(refuses=0.4)],
    ids=["fails", "dis", "slow", "no"],
)
def test_a_worse_canary_goes_within_its_bound(worse: Answer) -> None:
    ends = [decided(worse, seed) for seed in range(30)]
    assert {verdict for verdict, _ in ends} == {"rollback"}
    assert all(count <= 200 for _, count in ends)
    assert sorted(count for _, count in ends)[15] < 80


@pytest.mark.parametrize("better", [like(), like(fails=0.0, dislikes=0.02, slower=0.7)], ids=["equal", "better"])
def test_one_that_is_no_worse_is_promoted_but_for_the_risk(better: Answer) -> None:
    ends = [decided(better, seed, risk=0.05) for seed in range(100)]
    assert sum(verdict == "rollback" for verdict, _ in ends) <= 5
    assert all(count == 200 for verdict, count in ends if verdict == "promote")


@given(st.floats(0.05, 0.9), st.integers(0, 10_000))
def test_evidence_is_a_martingale_under_the_null(null: float, seed: int) -> None:
    """Whatever came so far, the next event changes it by a factor of mean 1."""
    chance = random.Random(seed)
    trials = chance.randrange(0, 60)
    hits = sum(chance.random() < null for _ in range(trials))
    now = evidence(hits, trials, null)
    then = null * evidence(hits + 1, trials + 1, null) + (1 - null) * evidence(hits, trials + 1, null)
    assert then == pytest.approx(now, rel=1e-6)


@given(st.integers(0, 400), st.integers(0, 400), st.floats(0.01, 0.99))
def test_the_tail_is_the_sum_of_its_terms(most: int, more: int, probability: float) -> None:
    trials = most + more
    logs = [
        math.lgamma(trials + 1)
        - math.lgamma(k + 1)
        - math.lgamma(trials - k + 1)
        + k * math.log(probability)
        + (trials - k) * math.log1p(-probability)
        for k in range(most + 1)
    ]
    top = max(logs)
    whole = top + math.log(math.fsum(math.exp(each - top) for each in logs))
    assert _log_at_most(most, trials, probability) == pytest.approx(whole, rel=1e-9, abs=1e-9)


def test_many_events_are_no_trouble() -> None:
    assert evidence(300_000, 1_000_000, 0.3) < 1
    assert evidence(310_000, 1_000_000, 0.3) > 1e10
    assert evidence(1_000_000, 1_000_000, 0.3) > 1e300


@given(st.floats(0.05, 0.9), st.floats(0, 1), st.integers(0, 60), st.integers(0, 60))
def test_evidence_falls_on_average_where_it_is_even_better(null: float, part: float, hits: int, misses: int) -> None:
    """A supermartingale for every probability that `null` covers, so the risk holds for all of them."""
    true, trials = null * part, hits + misses
    now = evidence(hits, trials, null)
    then = true * evidence(hits + 1, trials + 1, null) + (1 - true) * evidence(hits, trials + 1, null)
    assert then <= now * (1 + 1e-6)


def test_looking_after_every_event_refuses_no_more_often_than_the_risk() -> None:
    chance, risk, refused = random.Random(5), 0.05, 0
    for _ in range(400):
        hits = 0
        for trials in range(1, 200):
            hits += chance.random() < 0.3
            if evidence(hits, trials, 0.3) >= 1 / risk:
                refused += 1
                break
    assert refused <= 0.05 * 400


def test_a_conversation_counts_once() -> None:
    judge = Judge(0.1, 10, 0.05)
    for _ in range(50):
        judge.hear(Sample("m", "canary", 0.01, failed=True, ttft=1.0))
        judge.hear(Thumb("m", "canary", 0.01, up=False))
    assert judge.verdict == "undecided"
    assert judge.conversations == {"canary": 1, "stable": 0}
    assert judge.gates["errors"].trials == judge.gates["thumbs"].trials == 1


def test_times_are_compared_in_pairs() -> None:
    judge = Judge(0.5, 10, 0.05)
    judge.hear(Sample("m", "canary", 0.1, ttft=9.0))  # nothing to be compared with
    judge.hear(Sample("m", "stable", 0.6, ttft=1.0))
    judge.hear(Sample("m", "canary", 0.2, ttft=1.1))  # within what it may be slower
    judge.hear(Sample("m", "canary", 0.3, ttft=9.0))  # that one is in a pair already
    judge.hear(Sample("m", "stable", 0.7, ttft=1.0))
    judge.hear(Sample("m", "canary", 0.4, ttft=1.3))
    assert (judge.gates["ttft"].hits, judge.gates["ttft"].trials) == (1, 2)


def test_the_yardstick_comes_before_a_promotion_and_may_refuse() -> None:
    judge = Judge(0.5, 1, 0.05, yardstick=True)
    judge.hear(Sample("m", "canary", 0.1))
    assert judge.verdict == "undecided"
    for stable in (True, False, True, False):
        judge.answered(stable=stable, canary=not stable)
    judge.answered(stable=True, canary=True)  # tells nothing
    assert judge.waits
    judge.measured()
    assert (judge.asked, judge.gates["yardstick"].trials, judge.verdict) == (5, 4, "promote")
    while judge.verdict != "rollback":
        judge.answered(stable=True, canary=False)
    assert judge.gates["yardstick"].hits < 30
    assert [gate.name for gate in judge.refusing] == ["yardstick"]


def test_the_fewest_that_refuse() -> None:
    judge = Judge(0.5, 1, 0.05, yardstick=True)
    for _ in range(fewest(0.5, 0.05 / len(GATES))):
        assert judge.verdict == "undecided"
        judge.answered(stable=True, canary=False)
    assert judge.verdict == "rollback"


@given(st.integers(0, 10_000), st.integers(0, 60))
def test_a_judge_that_is_stopped_goes_on_as_if_it_had_not_been(seed: int, stop: int) -> None:
    chance, answer = random.Random(seed), like(fails=0.3)
    whole, first = Judge(0.5, 30, 0.05, yardstick=True), Judge(0.5, 30, 0.05, yardstick=True)
    for number in range(60):
        if number == stop:
            second = Judge(0.5, 30, 0.05, yardstick=True)
            second.resume(msgspec.json.decode(msgspec.json.encode(first.standing()), type=Standing))
            assert second.plain() == first.plain()
            first = second
        lot = chance.randrange(20) / 20  # conversations come again
        for heard in answer(chance, "canary" if lot < 0.5 else "stable", lot):
            if isinstance(heard, Thumb) or heard.failed or heard.refused:  # halves of pairs are not kept
                heard = replace(heard, ttft=None, rate=None) if isinstance(heard, Sample) else heard
                whole.hear(heard)
                first.hear(heard)
    assert first.plain() == whole.plain()
    assert first.verdict == whole.verdict


def test_the_share_bounds_what_may_fall_on_the_canary() -> None:
    assert of_share(0.5, 1.0) == 0.5
    assert of_share(0.1, 1.0) == pytest.approx(0.1)
    assert 0.1 < of_share(0.1, 1.5) < 0.15
