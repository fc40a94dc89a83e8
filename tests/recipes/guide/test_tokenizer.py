"""The shipped tokenizer: round trips, what is visible, and llama.cpp agreeing token for token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

tokenizers = pytest.importorskip("tokenizers")

from recipes.guide import tokenizer as subject  # noqa: E402

DATA = Path(__file__).parents[3] / "src/penjing/data/guide"
SAMPLES = [
    "What is quantization?",
    "8 GB 内存能跑多大的模型？",
    "it's I'LL  do\n\n\tthat  ",
    "1234567 + 89 = ?",
    "<think>\n\n</think>\n\nhi",
    '<tool_call>\n{"name": "f", "arguments": {"z": 1}}\n</tool_call>',
    "e\u0301 \u00e9 ﬁ ½ Ⅷ ٣ 👩‍👩‍👧 \u200b\ufeff\u00a0x",
]


@pytest.fixture(scope="module")
def shipped() -> object:
    return tokenizers.Tokenizer.from_file(str(DATA / "tokenizer.json"))


@given(st.text(max_size=80))
@settings(max_examples=60, deadline=None)
def test_any_text_survives(text: str) -> None:
    shipped = tokenizers.Tokenizer.from_file(str(DATA / "tokenizer.json"))
    for token in subject.CONTROL:
        text = text.replace(token, "")
    assert shipped.decode(shipped.encode(text, add_special_tokens=False).ids) == text


def test_digits_stand_alone(shipped: tokenizers.Tokenizer) -> None:
    assert shipped.encode("2048", add_special_tokens=False).tokens == ["2", "0", "4", "8"]


def test_only_control_tokens_are_hidden(shipped: tokenizers.Tokenizer) -> None:
    ids = shipped.encode("<|im_start|>a<think>b</think><tool_call>c</tool_call><|im_end|>").ids
    assert shipped.decode(ids) == "a<think>b</think><tool_call>c</tool_call>"


def test_training_gives_the_asked_vocabulary() -> None:
    made = subject.train(iter(["a small model 小模型 " * 3] * 20), vocab=subject_size())
    assert made.get_vocab_size() <= subject_size()
    assert all(made.token_to_id(t) is not None for t in (*subject.CONTROL, *subject.VISIBLE))
    assert made.encode("<|im_end|>").ids == [made.token_to_id("<|im_end|>")]


def subject_size() -> int:
    return 256 + len(subject.CONTROL) + len(subject.VISIBLE) + 20


def test_texts_reads_reasoning_too(tmp_path: Path) -> None:
    corpus = tmp_path / "train.jsonl"
    message = {"role": "assistant", "content": "4", "reasoning": "2 + 2"}
    corpus.write_text(json.dumps({"messages": [message]}) + "\n", encoding="utf-8")
    assert list(subject.texts(corpus)) == ["assistant\n4", "2 + 2"]


@pytest.fixture(scope="module")
def engine() -> object:
    pytest.importorskip("xllamacpp")
    from recipes.guide.evaluate import running

    with running(DATA / "guide.gguf", slots=1) as engine:
        yield engine


def test_llama_cpp_splits_the_same(shipped: tokenizers.Tokenizer, engine: object) -> None:
    for text in SAMPLES:
        reply = engine.post("/tokenize", {"content": text, "add_special": False, "parse_special": True})
        assert reply["tokens"] == shipped.encode(text, add_special_tokens=False).ids, text
