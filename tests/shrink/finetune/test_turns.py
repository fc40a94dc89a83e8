"""Conversations in the words of real chat templates: what is learned is what the model would have to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penjing.shrink.finetune.faults import NoChatTemplate, TemplateRefusesExample
from penjing.shrink.finetune.rows import Row
from penjing.store.resolve import guide

pytestmark = pytest.mark.extras
TALK = (
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "再见"},
    {"role": "assistant", "content": "再会。"},
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML


@pytest.fixture
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(guide().parent)


def learned(tokenizer: Any, *messages: dict[str, Any], length: int = 512, **more: Any) -> list[tuple[str, str]]:
    from penjing.shrink.finetune.turns import Turns

    examples = Turns(tokenizer, length, **more).examples([Row(Path("a"), 1, messages)])
    return [(tokenizer.decode(each.tokens), tokenizer.decode(each.tokens[each.learned])) for each in examples]


def test_one_example_where_the_template_writes_turns_as_it_asks_for_them(tokenizer: Any) -> None:
    tokenizer.chat_template = CHATML
    ((text, answers),) = learned(tokenizer, *TALK)
    assert text.startswith("<|im_start|>system\nBe kind.<|im_end|>")
    assert answers == "Hello<|im_end|>再会。<|im_end|>"


def test_an_example_for_each_turn_where_it_does_not(tokenizer: Any) -> None:
    """The guide's template asks with an empty thought, and leaves thoughts out of earlier turns."""
    first, second = learned(tokenizer, *TALK)
    assert first[0].endswith("<think>\n\n</think>\n\nHello<|im_end|>\n")
    assert first[1] == "Hello<|im_end|>"
    assert "assistant\nHello<|im_end|>" in second[0]
    assert second[1] == "再会。<|im_end|>"


def test_thoughts_are_learned_where_there_are_some(tokenizer: Any) -> None:
    thought = {"role": "assistant", "content": "4", "reasoning_content": "2 and 2"}
    ((_, answer),) = learned(tokenizer, {"role": "user", "content": "2+2"}, thought)
    assert answer == "<think>\n2 and 2</think>\n\n4<|im_end|>"


def test_calls_of_functions_are_learned(tokenizer: Any) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    told = [
        {"role": "user", "content": "Time?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "noon", "tool_call_id": "1"},
        {"role": "assistant", "content": "Noon."},
    ]
    first, second = learned(tokenizer, *told)
    assert '"name": "clock"' in first[1]
    assert "noon" not in second[1]
    assert second[1] == "Noon.<|im_end|>"


def test_all_of_it_where_that_is_wanted(tokenizer: Any) -> None:
    ((text, everything),) = learned(tokenizer, *TALK, learn="all")
    assert everything == text


def test_a_template_without_system_messages_gets_them_in_the_question(tokenizer: Any) -> None:
    tokenizer.chat_template = NO_SYSTEM
    ((text, _),) = learned(tokenizer, *TALK)
    assert "user\nBe kind.\n\nHi<|im_end|>" in text
    tokenizer.chat_template = "{{ raise_exception('never') }}"
    with pytest.raises(TemplateRefusesExample, match=r"line 1: .*never"):
        learned(tokenizer, *TALK)


def test_without_a_template_instructions_only(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    ((text, answer),) = learned(tokenizer, {"role": "user", "content": "Add."}, {"role": "assistant", "content": "2"})
    assert "### Instruction:\nAdd." in text
    assert answer == "2<|im_end|>"
    with pytest.raises(NoChatTemplate):
        learned(tokenizer, *TALK)


def test_what_is_too_long_is_cut_or_left_out_and_counted(tokenizer: Any) -> None:
    from penjing.shrink.finetune.turns import Turns

    tokenizer.chat_template = CHATML
    talk = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "word " * 40})
    turns = Turns(tokenizer, 24)
    longer = ({**talk[0], "content": "Hi " * 40}, talk[1])
    (example,) = turns.examples([Row(Path("a"), 1, talk), Row(Path("a"), 2, longer)])
    assert len(example.tokens) == 24
    assert (turns.counts.cut, turns.counts.left_out) == (2, 1)
