from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from penjing.native.faults import WrongUse
from penjing.native.model import Model
from penjing.native.sampler import GrammarRefused, Sampler, Sampling
from penjing.store.resolve import guide

PLAIN = Sampling(temperature=1, top_k=0, top_p=1, min_p=0)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with Model(guide(), vocabulary_only=True) as found:
        yield found


@pytest.fixture
def logits(model: Model) -> np.ndarray:
    """Token 7 is the likeliest, then 9, then 11; all others are far away."""
    found = np.full(model.vocabulary_size, -20.0, np.float32)
    found[[7, 9, 11]] = (2.0, 1.5, 1.0)
    return found


def drawn(model: Model, sampling: Sampling, logits: np.ndarray, count: int = 200) -> Counter[int]:
    with Sampler(model, sampling) as sampler:
        return Counter(sampler.choose(logits) for _ in range(count))


def test_temperature_zero_is_the_likeliest(model: Model, logits: np.ndarray) -> None:
    before = logits.copy()
    for sampling in (Sampling(temperature=0), Sampling(temperature=0, presence_penalty=0.1)):
        assert drawn(model, sampling, logits, 5) == {7: 5}
    assert (logits == before).all()


def test_shares_follow_the_probabilities(model: Model, logits: np.ndarray) -> None:
    found = drawn(model, replace(PLAIN, seed=1), logits, 3000)
    weights = np.exp([2.0, 1.5, 1.0])
    for token, share in zip((7, 9, 11), weights / weights.sum(), strict=True):
        assert found[token] / 3000 == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"mirostat": 1},
        {"mirostat": 2},
        {"xtc_probability": 0.9},
        {"order": ("top_k", "adaptive_p"), "adaptive_target": 0.3},
        {"dynatemp_range": 0.9},
        {"order": ()},
    ],
)
def test_a_seed_repeats(model: Model, logits: np.ndarray, more: dict[str, Any]) -> None:
    sampling = replace(PLAIN, seed=5, **more)
    with Sampler(model, sampling) as first, Sampler(model, sampling) as second:
        assert [first.choose(logits) for _ in range(50)] == [second.choose(logits) for _ in range(50)]


@pytest.mark.parametrize(
    ("limit", "tokens"), [({"top_k": 1}, {7}), ({"top_k": 2}, {7, 9}), ({"top_p": 0.3}, {7}), ({"min_p": 0.5}, {7, 9})]
)
def test_limits(model: Model, logits: np.ndarray, limit: dict[str, float], tokens: set[int]) -> None:
    assert set(drawn(model, replace(PLAIN, **limit), logits)) == tokens


def test_penalties_count_what_was_said(model: Model, logits: np.ndarray) -> None:
    with Sampler(model, Sampling(temperature=0, presence_penalty=1)) as sampler:
        assert sampler.choose(logits) == 7
        sampler.accept(7)
        assert sampler.choose(logits) == 9
    with Sampler(model, Sampling(temperature=0, presence_penalty=1, repeat_last_n=1)) as sampler:
        for token in (7, 9):
            sampler.accept(token, prompt=True)
        assert sampler.choose(logits) == 7


def test_what_would_go_on_as_before_is_less_likely(model: Model, logits: np.ndarray) -> None:
    dry = Sampling(temperature=0, dry_multiplier=5.0, dry_allowed_length=1)
    with Sampler(model, dry) as sampler:
        for token in (20, 7, 21, 20):
            sampler.accept(token, prompt=True)
        assert sampler.choose(logits) == 9  # 7 came after 20


def test_the_likeliest_may_be_left_out(model: Model, logits: np.ndarray) -> None:
    always = replace(PLAIN, xtc_probability=1.0, xtc_threshold=0.1, seed=1)
    assert set(drawn(model, always, logits, 50)) == {11}
    assert set(drawn(model, replace(PLAIN, top_n_sigma=0.1), logits, 50)) == {7}


def test_bias(model: Model, logits: np.ndarray) -> None:
    bias = ((7, -100.0), (11, 50.0))
    assert drawn(model, Sampling(temperature=0, bias=bias), logits, 3) == {11: 3}


def test_a_grammar_binds(model: Model) -> None:
    random = np.random.default_rng(0)
    with Sampler(model, Sampling(seed=1, grammar='root ::= "yes" | "no"')) as sampler:
        said: list[int] = []
        while not said or said[-1] not in model.ends:
            said.append(sampler.choose(random.normal(0, 5, model.vocabulary_size).astype(np.float32)))
            sampler.accept(said[-1])
    assert model.detokenize(said) in ("yes", "no")


def test_no_grammar(model: Model) -> None:
    with pytest.raises(GrammarRefused):
        Sampler(model, Sampling(grammar="root ::= nowhere"))


def test_after_it_is_closed(model: Model, logits: np.ndarray) -> None:
    sampler = Sampler(model, Sampling())
    sampler.close()
    with pytest.raises(WrongUse):
        sampler.choose(logits)
