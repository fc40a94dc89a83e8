"""Which file wins, and how added tokens, marks and flags come together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penjing.export.gguf import config, fast
from penjing.export.gguf import tokenizer as files
from penjing.export.gguf.families import KNOWN
from penjing.export.gguf.faults import TokenizerUnsupported
from penjing.export.gguf.vocabulary import BYTE, CONTROL, NORMAL, UNUSED, USER_DEFINED
from tiny_checkpoint import MARKS, tokenizer, write_checkpoint

LLAMA = KNOWN["LlamaForCausalLM"]
ROWS = 264


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "tiny")


def change(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content))


def keys(folder: Path, rows: int = ROWS) -> dict[str, Any]:
    found = files.read(config.load(folder), LLAMA, rows)
    return {key.removeprefix("tokenizer.").removeprefix("ggml."): value for key, value in found.items()}


def test_types(folder: Path) -> None:
    added = [*tokenizer()["added_tokens"], {"id": 260, "content": "▁user▁", "special": False}]
    added += [{"id": 261, "content": "<|looks_special|>", "special": False}]
    change(folder, "tokenizer.json", tokenizer(added_tokens=added))
    found = keys(folder)
    assert found["token_type"][255:264] == [NORMAL] * 2 + [CONTROL] * 3 + [USER_DEFINED, CONTROL, UNUSED, UNUSED]
    assert found["tokens"][260] == " user "
    assert "scores" not in found
    assert found["merges"] == ["h e"]


def test_merges_in_the_older_spelling(folder: Path) -> None:
    page = tokenizer()
    page["model"]["merges"] = ["h e"]
    change(folder, "tokenizer.json", page)
    assert keys(folder)["merges"] == ["h e"]


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        ({}, False),
        ({"add_bos_token": True}, False),
        ({"add_bos_token": True, "tokenizer_class": "LlamaTokenizer"}, True),
    ],
)
def test_begin_flag_without_a_template(folder: Path, settings: dict[str, Any], begins: bool) -> None:
    change(folder, "tokenizer_config.json", {"bos_token": MARKS[0], **settings})
    assert keys(folder)["add_bos_token"] is begins


def test_begin_flag_from_the_template(folder: Path) -> None:
    single = [{"SpecialToken": {"id": MARKS[0], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    post = {"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing", "single": single}]}
    change(folder, "tokenizer.json", tokenizer(post_processor=post))
    change(folder, "tokenizer_config.json", {"bos_token": {"content": MARKS[0]}})
    found = keys(folder)
    assert (found["bos_token_id"], found["add_bos_token"], found["add_eos_token"]) == (257, True, False)
    change(folder, "tokenizer_config.json", {"bos_token": MARKS[1]})
    assert keys(folder)["add_bos_token"] is False


def test_ends_of_an_answer(folder: Path) -> None:
    change(folder, "tokenizer_config.json", {"eos_token": MARKS[0]})
    change(folder, "generation_config.json", {"eos_token_id": [257, 259, 258, 5, 9999]})
    found = keys(folder)
    assert (found["eos_token_id"], found["eot_token_id"], found["eom_token_id"]) == (257, 259, 258)


def test_marks_from_the_ids(folder: Path) -> None:
    change(folder, "tokenizer_config.json", {})
    change(folder, "generation_config.json", {"bos_token_id": 257, "pad_token_id": 258})
    found = keys(folder)
    assert (found["bos_token_id"], found["padding_token_id"], found["eos_token_id"]) == (257, 258, 258)


def test_templates(folder: Path) -> None:
    assert keys(folder)["chat_template"] == "{{ messages[0].content }}"
    several = [{"name": "tool_use", "template": "B"}, {"name": "default", "template": "A"}]
    change(folder, "tokenizer_config.json", {"chat_template": several})
    assert keys(folder)["chat_template"] == "A"
    (folder / "chat_template.jinja").write_text("C")
    assert keys(folder)["chat_template"] == "C"
    (folder / "chat_template.jinja").unlink()
    change(folder, "tokenizer_config.json", {})
    assert "chat_template" not in keys(folder)


def pieces(merges: list[list[str]], **changes: Any) -> dict[str, Any]:
    """A SentencePiece model as tokenizer.json has it."""
    tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "ab", "▁a", "▁ab"]
    page = {
        "added_tokens": [],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
        "pre_tokenizer": None,
        "model": {
            "type": "BPE",
            "byte_fallback": True,
            "unk_token": "<unk>",
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": merges,
        },
    }
    return {**page, **changes}


WHOLE = [["a", "b"], ["▁", "a"], ["▁", "ab"], ["▁a", "b"]]


def test_scores_from_merges() -> None:
    found = fast.read(pieces(WHOLE), "", Path("tokenizer.json"))
    assert found.model == "llama"
    assert found.types[:3] == [2, BYTE, BYTE]
    scores = dict(zip(found.tokens, found.scores, strict=True))
    assert scores["ab"] > scores["▁a"] > scores["▁ab"] > scores["a"]
    assert found.settings == {"add_space_prefix": True}


def test_no_prefix() -> None:
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    split = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    found = fast.read(pieces(WHOLE, normalizer=replace, pre_tokenizer=split), "", Path("tokenizer.json"))
    assert found.settings == {"add_space_prefix": False}


@pytest.mark.parametrize(
    "page",
    [
        pieces(WHOLE[:-1]),  # llama.cpp would merge a pair that this tokenizer does not
        pieces([WHOLE[2], WHOLE[0], WHOLE[1], WHOLE[3]]),  # one token's merges at two places
        pieces(WHOLE[:2]),  # nothing makes a token that llama.cpp would make
        pieces(WHOLE, normalizer={"type": "Lowercase"}),
        pieces(WHOLE, pre_tokenizer={"type": "Metaspace", "replacement": "▁", "split": True}),
    ],
)
def test_merges_that_scores_cannot_say(page: dict[str, Any]) -> None:
    with pytest.raises(TokenizerUnsupported):
        fast.read(page, "", Path("tokenizer.json"))
