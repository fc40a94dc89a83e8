from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from penjing.engines.llamacpp.scheduler import wishes
from penjing.engines.llamacpp.scheduler.chat import Chat, page, plain
from penjing.errors import InvalidRequest, Unsupported
from penjing.native.model import Model
from penjing.native.sampler import Sampling
from penjing.store.resolve import guide


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with Model(guide(), vocabulary_only=True) as found:
        yield found


def test_every_field_of_the_gateway_has_its_place() -> None:
    from penjing.gateway.dialects.openai import wire

    known = wishes.READ | wishes.LABELS | wishes.NUMBERS.keys() | wishes.NEUTRAL.keys()
    ours = {"enable_thinking", "return_reasoning", "reasoning_effort"}  # the gateway puts other words in their place
    for kind in (wire.ChatBody, wire.CompletionBody, wire.EmbeddingBody):
        assert set(wire.names(kind)) - ours <= known


@pytest.mark.parametrize("body", [{"suffix": "x"}, {"echo": True}, {"dimensions": 8}, {"new": 1}])
def test_what_it_cannot_do_is_refused_by_name(body: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match=next(iter(body))):
        wishes.require_known(body, "model")


def test_what_asks_for_nothing_is_let_pass() -> None:
    wishes.require_known(
        {"mirostat": 0, "echo": False, "best_of": 1, "user": "u", "samplers": None, "suffix": None}, "model"
    )


def test_numbers_and_defaults(model: Model) -> None:
    usual = wishes.defaults(model)
    assert usual == Sampling(temperature=0)
    found = wishes.sampling({"temperature": 0.5, "top_k": 3, "seed": 4, "min_p": None}, usual, model)
    assert found == Sampling(temperature=0.5, top_k=3, seed=4)
    assert wishes.sampling({"seed": -1}, usual, model).seed is None
    assert wishes.sampling({"samplers": "kt"}, usual, model).order == ("top_k", "temperature")
    assert wishes.sampling({"samplers": ["dry"], "mirostat": 2}, usual, model).order == ("dry",)
    for body in ({"samplers": "q"}, {"samplers": ["wet"]}, {"repeat_penalty": 0}):
        with pytest.raises(InvalidRequest):
            wishes.sampling(body, usual, model)


def test_ends_that_are_ignored_are_never_said(model: Model) -> None:
    found = wishes.sampling({"ignore_eos": True}, Sampling(), model).bias
    assert {token for token, _ in found} == model.ends
    assert wishes.sampling({}, Sampling(), model).bias == ()


def test_adapters_by_number() -> None:
    assert wishes.voice({}, (1.0, 0.0)) == (1.0, 0.0)
    assert wishes.voice({"lora": []}, (1.0, 0.0)) == (0.0, 0.0)
    assert wishes.voice({"lora": [{"id": 1, "scale": 0.5}]}, (1.0, 0.0)) == (0.0, 0.5)
    for given in ([{"id": 2}], [{"name": "x"}], ["x"]):
        with pytest.raises(InvalidRequest, match="lora"):
            wishes.voice({"lora": given}, (1.0, 0.0))


def test_how_long_thoughts_and_what_is_kept() -> None:
    assert wishes.budget({"thinking_budget_tokens": 5}) == 5
    assert wishes.budget({"reasoning_budget_tokens": -1}) is None
    assert [wishes.kept({"n_keep": given}, 9) for given in (None, 4, 20, -1)] == [0, 4, 9, 9]


def test_texts_to_be_weighed() -> None:
    assert wishes.texts({"input": "a"}, "input") == ["a"]
    assert wishes.texts({"input": [5, 6]}, "input") == [[5, 6]]
    assert wishes.texts({"input": ["a", [5]]}, "input") == ["a", [5]]
    for given in (None, "", [], [""], {}):
        with pytest.raises(InvalidRequest, match="input"):
            wishes.texts({"input": given}, "input")


def test_bias(model: Model) -> None:
    token = model.tokenize("cache")
    assert wishes.bias({"logit_bias": {"5": 1, "6": False}}, model) == ((5, 1.0), (6, float("-inf")))
    assert wishes.bias({"logit_bias": [["cache", 2]]}, model) == tuple((one, 2.0) for one in token)
    with pytest.raises(InvalidRequest, match="4096"):
        wishes.bias({"logit_bias": {"4096": 1}}, model)


def test_limits_stops_probabilities() -> None:
    assert wishes.limit({"max_tokens": 5, "n_predict": 9}) == 5
    assert wishes.limit({"max_tokens": -1}) > 1 << 20
    assert wishes.stops({"stop": "x"}) == ["x"]
    assert wishes.likely({}) is None
    assert wishes.likely({"logprobs": True}) == 0
    assert wishes.likely({"logprobs": True, "top_logprobs": 4}) == 4
    assert wishes.likely({"logprobs": 2}) == 2
    assert wishes.likely({"n_probs": 3}) == 3


def test_what_binds() -> None:
    assert wishes.grammar({}) == ""
    assert wishes.grammar({"grammar": "root ::= [a]"}) == "root ::= [a]"
    assert "object" in wishes.grammar({"response_format": {"type": "json_object"}})
    form = {"type": "json_schema", "json_schema": {"schema": {"type": "integer"}}}
    assert "integer" in wishes.grammar({"response_format": form})


def test_prompts(model: Model) -> None:
    assert wishes.prompts({"prompt": [5, 6]}, model) == [[5, 6]]
    assert wishes.prompts({"prompt": ["Hello", [5]]}, model) == [model.tokenize("Hello"), [5]]
    for given in (None, [], [5, "x"], {}, "", [[]]):
        with pytest.raises(InvalidRequest):
            wishes.prompts({"prompt": given}, model)


def test_templates(model: Model) -> None:
    chat = Chat(model, {"enable_thinking": False})
    user = {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    text = chat.prompt([user])
    assert "a\nb" in text
    assert text.endswith("</think>\n\n")
    assert chat.prompt([user], {"enable_thinking": True}).endswith("assistant\n")
    assert chat.prompt([user, {"role": "assistant", "content": "Well"}]).endswith("Well")
    assert not chat.prompt([user], generate=False).endswith("assistant\n")


def test_a_template_that_refuses() -> None:
    for source in ("{{ raise_exception('only one turn') }}", "{{ messages[0].no.thing }}"):
        chat = Chat.__new__(Chat)
        chat._page, chat._defaults, chat._marks = page(source), {}, {}
        with pytest.raises(InvalidRequest, match="template"):
            chat.prompt([{"role": "user", "content": "x"}])
    with pytest.raises(InvalidRequest, match="cannot be read"):
        page("{% if %}")


def test_arguments_become_objects() -> None:
    call = {"function": {"name": "f", "arguments": '{"a": 1}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert plain(message)["tool_calls"][0]["function"]["arguments"] == {"a": 1}
    assert call["function"]["arguments"] == '{"a": 1}'
    assert plain(message)["content"] == ""
