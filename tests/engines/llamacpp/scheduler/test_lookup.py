from penjing.engines.llamacpp.scheduler.lookup import FEWEST, LONGEST_REST, MOST, Lookup


def test_what_followed_before_is_guessed() -> None:
    lookup = Lookup()
    lookup.extend([1, 2, 3, 4, 5, 6, 7, 9])
    assert lookup.guess(10) == []
    lookup.extend([2, 3, 4])
    assert lookup.guess(10) == [5, 6]
    assert lookup.guess(1) == [5]


def test_the_latest_place_counts_also_when_tokens_come_one_by_one() -> None:
    lookup = Lookup()
    for token in [1, 2, 3, 4, 8, 1, 2, 3, 5, 6, 1, 2, 3]:
        lookup.extend([token])
    assert lookup.guess(10) == [5, 6]


def test_right_guesses_grow_and_wrong_ones_rest() -> None:
    lookup = Lookup()
    lookup.extend(list(range(40)) * 2)
    for size in (FEWEST, 4, 8, MOST, MOST):
        guessed = lookup.guess(100)
        assert len(guessed) == size
        lookup.trust.learn(size, size)
    lookup.trust.learn(MOST, 3)
    assert len(lookup.guess(100)) == 4
    for rest in (1, 2, 4):
        lookup.trust.learn(4, 0)
        assert [bool(lookup.guess(100)) for _ in range(rest + 1)] == [False] * rest + [True]
    for _ in range(20):
        lookup.trust.learn(4, 0)
    assert sum(not lookup.guess(100) for _ in range(200)) == LONGEST_REST
