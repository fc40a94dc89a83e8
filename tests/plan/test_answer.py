from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from penjing.plan import devices, place
from penjing.plan.answer import INVISIBLE, Answer, Candidate, Wish, recommend
from penjing.plan.memory import Terms, need
from penjing.plan.mixes import USUAL, quantized
from penjing.plan.place import Place
from penjing.plan.weights import repacking
from penjing.probe.facts import Model
from planned_answers import EIGHT, LAPTOP, PHONE, candidates, with_budget
from planned_models import llama

GIB = 1 << 30


def loss(answer: Answer) -> float:
    """What nobody can tell apart counts as the same."""
    assert answer.chosen is not None
    return max(answer.chosen.quality.kl, INVISIBLE)


models = st.builds(
    lambda layers, width, shared, parameters, context: llama(
        layers, width * 128, width, max(1, width // shared), width * 384, parameters=parameters, context=context
    ),
    st.integers(2, 24),
    st.integers(4, 64),
    st.sampled_from([1, 4, 8]),
    st.integers(100_000_000, 100_000_000_000),
    st.sampled_from([0, 512, 4096, 40_960, 131_072]),
)
wishes = st.builds(
    Wish, st.none() | st.integers(1, 200_000), st.integers(1, 8), kv_type=st.sampled_from(["f16", "q8_0"])
)
labels = st.lists(st.sampled_from(USUAL), min_size=1, unique=True).map(tuple)
places = st.sampled_from([place.there(each) for each in devices.catalogue().values()])


@settings(max_examples=60)
@given(models, wishes, labels, places, st.integers(1 << 28, 200 * GIB), st.integers(0, 200 * GIB))
def test_larger_budgets_never_recommend_worse_quality(
    model: Model, wish: Wish, some: tuple[str, ...], where: Place, budget: int, more: int
) -> None:
    offered = candidates(model, some)
    small = recommend(offered, with_budget(where, budget), wish)
    large = recommend(offered, with_budget(where, budget + more), wish)
    assume(small.chosen is not None)
    assert loss(large) <= loss(small)
    assert small.verdict != "fits" or large.verdict == "fits"


@settings(max_examples=30)
@given(models, wishes, places)
def test_what_is_said_to_fit_does(model: Model, wish: Wish, where: Place) -> None:
    answer = recommend(candidates(model), where, wish)
    for row in answer.rows:
        if row.verdict != "no":
            assert row.need.total <= where.budget
            assert 0 < row.context <= row.longest
        else:
            assert row.need.total > where.budget
    if answer.verdict == "fits" and wish.context:
        assert answer.chosen is not None
        assert answer.chosen.context == wish.context


def test_less_than_a_step_of_the_cache() -> None:
    """Eight conversations of one token each fit where eight of 256 do not."""
    offered = candidates(EIGHT, ("Q4_K_M",))
    one, wish = offered[0].model, Wish(1, 8)
    budget = need(one, 1, 8, Terms(repacks=repacking(LAPTOP.machine))).total
    row = recommend(offered, with_budget(LAPTOP, budget), wish).rows[0]
    assert (row.verdict, row.context, row.longest) == ("fits", 1, 1)
    assert recommend(offered, with_budget(LAPTOP, budget - 1), wish).rows[0].verdict == "no"


@settings(max_examples=30)
@given(models, places, st.integers(1, 100_000), st.integers(1, 100_000))
def test_a_longer_context_never_needs_less(model: Model, where: Place, one: int, other: int) -> None:
    short, long = sorted((one, other))
    needs = [recommend(candidates(model), where, Wish(context)).rows for context in (short, long)]
    for first, second in zip(*needs, strict=True):
        if second.context >= first.context:
            assert second.need.total >= first.need.total


def test_fits_in_full() -> None:
    answer = recommend(candidates(EIGHT), with_budget(LAPTOP, 64 * GIB))
    assert answer.verdict == "fits"
    assert answer.chosen is not None
    assert answer.chosen.longest == 40_960


def test_a_slow_place_gets_the_quicker_of_those_that_lose_little() -> None:
    answer = recommend(candidates(EIGHT), with_budget(PHONE, 64 * GIB))
    assert answer.chosen is not None
    assert answer.reason == "fastest"
    assert answer.chosen.label == "Q4_K_M"


def test_less_context_where_a_long_one_was_asked_for() -> None:
    answer = recommend(candidates(EIGHT), with_budget(LAPTOP, 6 * GIB), Wish(context=40_000))
    assert answer.verdict == "shorter"
    assert answer.chosen is not None
    assert 0 < answer.chosen.context < 40_000


def test_more_than_it_was_trained_for_is_less_than_asked() -> None:
    answer = recommend(candidates(EIGHT), with_budget(LAPTOP, 64 * GIB), Wish(context=100_000))
    assert answer.verdict == "shorter"
    assert answer.chosen is not None
    assert answer.chosen.context == 40_960


def test_nothing_fits() -> None:
    answer = recommend(candidates(EIGHT), with_budget(PHONE, 1 * GIB))
    assert (answer.verdict, answer.chosen, answer.smallest.label) == ("no", None, "Q2_K")


def test_the_one_asked_for_and_the_nearest_that_fits_in_its_place() -> None:
    asked = recommend(candidates(EIGHT), with_budget(LAPTOP, 64 * GIB), Wish(quantization="q8_0"))
    assert asked.chosen is not None
    assert (asked.chosen.label, asked.reason) == ("Q8_0", "asked")
    refused = recommend(candidates(EIGHT), with_budget(LAPTOP, 7 * GIB), Wish(quantization="Q8_0"))
    assert refused.verdict == "no"
    assert refused.nearest is not None
    assert refused.nearest.verdict == "fits"
    assert refused.reason != "asked"


def test_what_cannot_be_had_is_not_recommended() -> None:
    offered = [
        Candidate("Q6_K", quantized(EIGHT, "Q6_K"), "computed"),
        Candidate("Q4_0", quantized(EIGHT, "Q4_0"), "convert"),
    ]
    answer = recommend(offered, with_budget(LAPTOP, 64 * GIB))
    assert answer.chosen is not None
    assert answer.chosen.label == "Q4_0"
