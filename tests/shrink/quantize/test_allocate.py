from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.shrink.quantize.allocate import Option, allocate, cost, total
from penjing.shrink.quantize.refine import kinds, refine

COSTS = st.lists(st.floats(0.0, 10.0), min_size=3, max_size=3)
MODELS = st.lists(st.tuples(st.integers(1, 20), COSTS), min_size=1, max_size=5)


def options_of(model: list[tuple[int, list[float]]]) -> dict[str, list[Option]]:
    """Three types each: the more bytes the less it costs."""
    return {
        str(number): [
            Option(kind, size * weight, price)
            for kind, weight, price in zip("abc", (2, 3, 5), sorted(costs, reverse=True), strict=True)
        ]
        for number, (size, costs) in enumerate(model)
    }


@settings(max_examples=60, deadline=None)
@given(MODELS, st.floats(0.0, 1.0))
def test_close_to_the_best_there_is(model: list[tuple[int, list[float]]], share: float) -> None:
    options = options_of(model)
    sizes = [sum(size * weight for size, _ in model) for weight in (2, 5)]
    room = round(sizes[0] + share * (sizes[1] - sizes[0]))
    chosen = allocate(options, room)
    assert total(chosen) <= room
    fitting = [one for one in itertools.product(*options.values()) if sum(each.bytes for each in one) <= room]
    best = min(sum(each.costs for each in one) for one in fitting)
    step = max(a.costs - b.costs for every in options.values() for a, b in itertools.combinations(every, 2))
    assert best - 1e-9 <= cost(chosen) <= best + step + 1e-9


def test_where_nothing_fits_the_smallest() -> None:
    options = options_of([(3, [3.0, 2.0, 1.0]), (4, [5.0, 4.0, 1.0])])
    assert kinds(allocate(options, 1)) == {"0": "a", "1": "a"}


def test_the_engine_knows_better() -> None:
    """Estimates say that `0` matters; measured, all of it comes from `1`."""
    options = {
        "0": [Option("a", 2, 9.0), Option("b", 3, 1.0)],
        "1": [Option("a", 2, 2.0), Option("b", 3, 1.0)],
    }
    chosen = allocate(options, 5)
    assert kinds(chosen) == {"0": "b", "1": "a"}
    tried = []

    def measure(one: dict[str, Option]) -> float:
        tried.append(kinds(one))
        return {"a": 5.0, "b": 0.5}[one["1"].kind] + {"a": 0.2, "b": 0.1}[one["0"].kind]

    better, found = refine(options, chosen, 5, measure)
    assert kinds(better) == {"0": "a", "1": "b"}
    assert found == 0.7
    assert total(better) <= 5
