"""Rows for training: the same text as the chat template, loss only on answers, nothing lost or mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pytest

tokenizers = pytest.importorskip("tokenizers")

from recipes.guide.tokenizer import TEMPLATE  # noqa: E402

from recipes.guide import calls, pack  # noqa: E402

DATA = Path(__file__).parents[3] / "src/penjing/data/guide"
QUESTION = {"role": "user", "content": "What is 2 + 2?"}
ANSWER = {"role": "assistant", "content": "2 + 2 = 4."}
THOUGHT = {**ANSWER, "reasoning": "2 + 2 = 4"}
SYSTEM = {"role": "system", "content": "请简洁回答。"}


@pytest.fixture(scope="module")
def writer() -> pack.Writer:
    return pack.Writer(tokenizers.Tokenizer.from_file(str(DATA / "tokenizer.json")))


def render(messages: list[dict[str, Any]], **options: Any) -> str:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "sort_keys": False}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(messages=messages, **options)


def as_template(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{("reasoning_content" if k == "reasoning" else k): v for k, v in m.items()} for m in messages]


@pytest.mark.parametrize("messages", [[QUESTION, ANSWER], [SYSTEM, QUESTION, ANSWER, QUESTION, ANSWER]])
def test_text_is_the_templates(writer: pack.Writer, messages: list[dict[str, Any]]) -> None:
    document = writer.document(writer.conversation({"messages": messages}), thinking=False)
    assert writer.tokenizer.decode(document.ids, skip_special_tokens=False) == render(messages)
    assert document.ids == writer.tokenizer.encode(render(messages), add_special_tokens=False).ids


def test_reasoning_is_the_templates(writer: pack.Writer) -> None:
    messages = [QUESTION, THOUGHT]
    document = writer.document(writer.conversation({"messages": messages}), thinking=True)
    assert writer.tokenizer.decode(document.ids, skip_special_tokens=False) == render(as_template(messages))


def test_a_question_ends_where_generation_begins(writer: pack.Writer) -> None:
    document = writer.document(writer.conversation({"messages": [QUESTION, ANSWER]}), thinking=False)
    prompt = render([QUESTION], add_generation_prompt=True)
    first = document.target.index(True)
    assert writer.tokenizer.decode(document.ids[:first], skip_special_tokens=False) == prompt
    asked = render([QUESTION], add_generation_prompt=True, enable_thinking=True)
    thoughtful = writer.document(writer.conversation({"messages": [QUESTION, THOUGHT]}), thinking=True)
    first = thoughtful.target.index(True)
    assert writer.tokenizer.decode(thoughtful.ids[:first], skip_special_tokens=False) == asked


def test_offered_functions_read_as_the_template_writes_them(writer: pack.Writer) -> None:
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
    asked = {"role": "user", "content": "find it"}
    called = {"id": "1", "type": "function", "function": {"name": "find", "arguments": {"城市": "北京"}}}
    real = render(
        [asked, {"role": "assistant", "content": "", "tool_calls": [called]}, {"role": "tool", "content": '{"x": 1}'}],
        tools=[tool],
        add_generation_prompt=True,
    )
    ours = [
        {"role": "system", "content": calls.offer([tool])},
        asked,
        {"role": "assistant", "content": calls.call("find", {"城市": "北京"})},
        {"role": "user", "content": calls.result({"x": 1})},
        ANSWER,
    ]
    document = writer.document(writer.conversation({"messages": ours}), thinking=False)
    assert writer.tokenizer.decode(document.ids, skip_special_tokens=False).startswith(real)


def test_loss_is_on_answers_alone(writer: pack.Writer) -> None:
    document = writer.document(writer.conversation({"messages": [SYSTEM, QUESTION, ANSWER]}), thinking=False)
    learned = [i for i, target in zip(document.ids, document.target, strict=True) if target]
    assert writer.tokenizer.decode(learned, skip_special_tokens=False) == "2 + 2 = 4.<|im_end|>"


def test_labels_are_the_next_tokens(writer: pack.Writer) -> None:
    document = writer.document(writer.conversation({"messages": [QUESTION, ANSWER]}), thinking=False)
    batch = pack.collate([[document, document]], 128, writer.pad)
    for at in np.flatnonzero(batch.labels[0] >= 0):
        assert batch.labels[0, at] == batch.tokens[0, at + 1]
        assert batch.documents[0, at] == batch.documents[0, at + 1]
    assert (batch.labels >= 0).sum() == 2 * sum(document.target)
    assert batch.positions[0, len(document.ids)] == 0


def test_an_epoch_holds_every_short_conversation_and_long_rows(writer: pack.Writer) -> None:
    numbers = range(1500)
    records = [{"messages": [{"role": "user", "content": f"say {n} x"}, ANSWER]} for n in numbers]
    mix = pack.Mix(tokens=2048, cut_share=0)
    batches = list(pack.batches([writer.conversation(r) for r in records], writer, mix, seed=3))
    assert {b.tokens.shape for b in batches} == {(8, 256), (2, 1024)}
    text = "".join(writer.tokenizer.decode(row.tolist()) for b in batches for row in b.tokens)
    found = sum(f"say {n} x" in text for n in numbers)
    assert found > 0.9 * len(numbers)  # the last, incomplete batch of each width is left out
    assert max(int(b.positions.max()) for b in batches) > 900


def test_a_joined_dialogue_keeps_one_system_message(writer: pack.Writer) -> None:
    record = {"messages": [SYSTEM, QUESTION, ANSWER]}
    mix = pack.Mix(tokens=1024, long_share=1.0, cut_share=0)
    batches = list(pack.batches([writer.conversation(record)] * 60, writer, mix, seed=1))
    assert batches
    for batch in batches:
        row = writer.tokenizer.decode(batch.tokens[0].tolist(), skip_special_tokens=False)
        assert row.count("<|im_start|>system") == 1
        assert row.count("<think>") == 1


def test_functions_are_never_lost_by_joining(writer: pack.Writer) -> None:
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
    offered = {"messages": [{"role": "system", "content": calls.offer([tool])}, QUESTION, ANSWER]}
    records = [offered, {"messages": [QUESTION, ANSWER]}] * 40
    mix = pack.Mix(tokens=1024, long_share=1.0, cut_share=0)
    batches = list(pack.batches([writer.conversation(r) for r in records], writer, mix, seed=1))
    text = "".join(writer.tokenizer.decode(b.tokens[0].tolist(), skip_special_tokens=False) for b in batches)
    assert text.count("<tools>") > 10
    assert text.count("<tools>") == text.count("<|im_start|>system")


def test_what_no_ordinary_row_holds_stands_in_long_ones(writer: pack.Writer) -> None:
    tools = [
        {"type": "function", "function": {"name": f"find_{n}", "parameters": {"type": "object"}}} for n in range(9)
    ]
    long = [
        {
            "messages": [
                {"role": "system", "content": calls.offer(tools)},
                {"role": "user", "content": f"say {n} x"},
                ANSWER,
            ]
        }
        for n in range(60)
    ]
    mix = pack.Mix(tokens=2048, long_share=0.0, cut_share=0)
    conversations = [writer.conversation(record) for record in long]
    assert min(map(writer.size, conversations)) > mix.short
    batches = list(pack.batches(conversations, writer, mix, seed=3))
    assert {b.tokens.shape for b in batches} == {(2, 1024)}
    text = "".join(writer.tokenizer.decode(row.tolist()) for b in batches for row in b.tokens)
    assert sum(f"say {n} x" in text for n in range(60)) > 50
