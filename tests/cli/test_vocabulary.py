"""`penjing vocabulary` as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grown_tokenizers import paragraphs
from shells import Shell


@pytest.fixture
def chinese(tmp_path: Path) -> Path:
    path = tmp_path / "zh.md"
    path.write_text("\n\n".join(paragraphs("zh")[:120]))
    return path


def test_the_guide_learns_words(shell: Shell, chinese: Path, tmp_path: Path) -> None:
    done = shell("vocabulary", "guide", "--add", str(chinese), "--size", "150", "-o", "more", "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert (told["first"], told["added"], told["rows"], told["scripts"]) == (4096, 150, 4246, ["CJK"])
    tokens, losses = told["tokens"], told["nats_per_character"]
    assert tokens["new"]["after"] < 0.97 * tokens["new"]["before"]
    assert tokens["old"]["after"] == tokens["old"]["before"] > 1000
    assert abs(losses["old"]["after"] - losses["old"]["before"]) < 0.05
    assert losses["new"]["before"] > 0
    answer = shell("chat", "more", "-p", "What is quantization?", "--max-tokens", "8", "--json")
    assert answer.status == 0, answer.err
    again = shell("vocabulary", "guide", "--add", str(chinese), "-o", "more", PENJING_LANGUAGE="zh")
    assert again.status == 2
    assert "more" in again.err


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (("guide", "-o", "x"), 2, "--add is missing"),
        (("guide", "--add", "zh.md"), 2, "--output is missing"),
        (("guide", "--add", "nothing.txt", "-o", "x"), 2, "nothing.txt"),
        (("guide", "--add", "zh.md", "-o", "x", "--size", "many"), 2, "a whole number"),
        (("guide", "--add", "en.md", "-o", "x"), 2, "LATIN"),
        (("tiny.gguf", "--add", "zh.md", "-o", "x"), 3, "checkpoint"),
    ],
)
def test_what_is_wrong_is_said(
    shell: Shell, chinese: Path, tiny: Path, arguments: tuple[str, ...], status: int, word: str
) -> None:
    (chinese.parent / "en.md").write_text("only English " * 500)
    (chinese.parent / "tiny.gguf").symlink_to(tiny)
    done = shell("vocabulary", *arguments)
    assert done.status == status
    assert word in done.err
    assert not (chinese.parent / "x").exists()
