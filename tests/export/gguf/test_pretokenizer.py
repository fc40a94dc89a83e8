from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from penjing.export.gguf import pretokenizer
from penjing.export.gguf.faults import UnknownPreTokenizer
from penjing.export.gguf.pretokenizer import GPT4O, LLAMA3, QWEN2, QWEN35, TEKKEN

PATH = Path("tokenizer.json")


def page(*steps: Any, whole_words: bool = False) -> dict[str, Any]:
    """tokenizer.json as the library writes it."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole_words))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(steps))
    parsed: dict[str, Any] = json.loads(tokenizer.to_str())
    return parsed


def split(rule: str, behavior: str = "isolated", *, invert: bool = False) -> Any:
    return pre_tokenizers.Split(Regex(rule), behavior, invert)


LETTERS = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
WITH_RULE = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


@pytest.mark.parametrize(
    ("found", "preferred", "name"),
    [
        (page(WITH_RULE), "", "gpt-2"),
        (page(pre_tokenizers.Digits(individual_digits=True), WITH_RULE), "", "smollm"),
        (page(split(LLAMA3), LETTERS, whole_words=True), "", "llama-bpe"),
        (page(split(LLAMA3), LETTERS), "", "smaug-bpe"),
        (page(split(LLAMA3), LETTERS), "glm4", "glm4"),
        (page(split(LLAMA3), LETTERS, whole_words=True), "glm4", "llama-bpe"),
        (page(split(QWEN2), LETTERS), "qwen2", "qwen2"),
        (page(split(QWEN2, "removed", invert=True), LETTERS), "", "qwen2"),
        (page(split(QWEN2.replace(pretokenizer.CONTRACTIONS, pretokenizer.SPELLED_OUT)), LETTERS), "", "qwen2"),
        (page(split(QWEN35), LETTERS), "", "qwen35"),
        (page(split(GPT4O), LETTERS), "", "gpt-4o"),
        (page(split(TEKKEN), LETTERS, whole_words=True), "", "tekken"),
    ],
)
def test_known(found: dict[str, Any], preferred: str, name: str) -> None:
    assert pretokenizer.name(found, preferred, PATH) == name


@pytest.mark.parametrize(
    "found",
    [
        page(LETTERS),
        page(pre_tokenizers.ByteLevel(add_prefix_space=True)),
        page(pre_tokenizers.Digits(individual_digits=False), WITH_RULE),
        page(split(QWEN2 + "|x"), LETTERS),
        page(split(QWEN2, "removed"), LETTERS),
        page(split(QWEN2, "merged_with_next"), LETTERS),
        page(split(QWEN2), LETTERS, whole_words=True),
        page(split(TEKKEN), LETTERS),
        page(pre_tokenizers.Whitespace()),
        {"pre_tokenizer": None, "model": {}},
        {"pre_tokenizer": {"type": "Split", "pattern": {"String": " "}}, "model": None},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [1, None]}},
        {},
    ],
)
def test_unknown_is_refused_and_says_what_it_saw(found: dict[str, Any]) -> None:
    with pytest.raises(UnknownPreTokenizer) as caught:
        pretokenizer.name(found, "qwen2", PATH)
    assert caught.value.facts["rule"]
    assert "qwen2" in caught.value.advice("en")


def test_an_unknown_rule_is_printed() -> None:
    with pytest.raises(UnknownPreTokenizer, match="three"):
        pretokenizer.name(page(split("one|two|three"), LETTERS), "", PATH)
