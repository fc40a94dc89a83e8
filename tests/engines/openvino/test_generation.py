from types import SimpleNamespace

import pytest

from penjing.engines.llamacpp.scheduler.asked import Ask, Said
from penjing.engines.openvino.generation import configuration, require_able
from penjing.errors import Unsupported
from penjing.native.sampler import Sampling

USUAL = Sampling()


def ask(sampling: Sampling, likely: int | None = None) -> Ask:
    def hear(said: Said) -> bool:
        return True

    return Ask([1, 2], 7, hear, sampling, frozenset((2,)), likely)


@pytest.mark.parametrize(
    ("sampling", "named"),
    [
        (Sampling(grammar='root ::= "a"'), "grammar"),
        (Sampling(bias=((1, 2.0),)), "logit_bias"),
        (Sampling(typical_p=0.5), "typical_p"),
    ],
)
def test_what_it_does_not_have_is_refused_by_name(sampling: Sampling, named: str) -> None:
    with pytest.raises(Unsupported, match=named):
        require_able(ask(sampling), USUAL, "guide")


def test_probabilities_are_refused() -> None:
    with pytest.raises(Unsupported, match="logprobs"):
        require_able(ask(USUAL, likely=0), USUAL, "guide")


def test_what_both_have_is_passed_on() -> None:
    sampling = Sampling(temperature=0.5, top_k=5, top_p=0.9, min_p=0.1, repeat_penalty=1.1, seed=-1 % (1 << 32))
    require_able(ask(sampling), USUAL, "guide")
    found = configuration(SimpleNamespace(GenerationConfig=SimpleNamespace), ask(sampling))
    assert (found.do_sample, found.temperature, found.top_k, found.top_p, found.min_p) == (True, 0.5, 5, 0.9, 0.1)
    assert (found.repetition_penalty, found.rng_seed) == (1.1, (1 << 32) - 1)
    assert (found.max_new_tokens, found.stop_token_ids, found.ignore_eos) == (7, {2}, True)


def test_temperature_zero_draws_nothing() -> None:
    found = configuration(SimpleNamespace(GenerationConfig=SimpleNamespace), ask(Sampling(temperature=0, top_k=0)))
    assert not found.do_sample
    assert not hasattr(found, "rng_seed")


def test_any_seed_is_another_each_time() -> None:
    made = [configuration(SimpleNamespace(GenerationConfig=SimpleNamespace), ask(USUAL)).rng_seed for _ in range(8)]
    assert len(set(made)) > 1


def test_ends_that_are_ignored_may_be_forbidden_and_nothing_else() -> None:
    ignored, more = ((2, float("-inf")),), ((2, float("-inf")), (5, -1.0))
    require_able(ask(Sampling(bias=ignored)), USUAL, "guide", frozenset({2}))
    for bias in (more, ((2, -1.0),)):
        with pytest.raises(Unsupported, match="logit_bias"):
            require_able(ask(Sampling(bias=bias)), USUAL, "guide", frozenset({2}))
