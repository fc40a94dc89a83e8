"""`penjing finetune` as it is typed, and adapters where a model is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from penjing.store.resolve import guide
from shells import Shell
from tiny_lora import write_tiny_lora
from tiny_model import Shape

GUIDE = Shape(layers=6, width=256)
"""Its numbers, as adapters see them."""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["guide"], "--data is missing"),
        (["guide", "--data", "a.jsonl"], "--output is missing"),
        (["guide", "--data", "a.jsonl", "-o", "o", "--method", "odd"], "finetune.method = 'odd' (from --method)"),
        (["guide", "--data", "a.jsonl", "-o", "o", "--rank", "many"], "finetune.rank = 'many' (from --rank)"),
        (["guide", "--data", "a.jsonl", "-o", "o", "--batch", "0"], "finetune.batch = 0 (from --batch)"),
    ],
)
def test_what_was_typed_wrong_is_named(shell: Shell, words: list[str], told: str) -> None:
    done = shell("finetune", *words)
    assert done.status == 2
    assert told in done.err


@pytest.mark.extras
def test_a_file_of_weights_alone_cannot_be_trained(shell: Shell, tmp_path: Path) -> None:
    copy = shutil.copy(guide(), tmp_path / "copy.gguf")
    (tmp_path / "a.jsonl").write_text('{"text": "a"}')
    done = shell("finetune", str(copy), "--data", str(tmp_path / "a.jsonl"), "-o", str(tmp_path / "o"))
    assert done.status == 3
    assert "is a GGUF file; this needs the checkpoint" in done.err


def test_an_adapter_with_a_name_is_for_servers(shell: Shell, tmp_path: Path) -> None:
    adapter = write_tiny_lora(tmp_path / "lora.gguf", GUIDE)
    refused = shell("chat", "guide", "--lora", f"faq={adapter}", "-p", "hi")
    assert refused.status == 2
    assert "--lora faq= does nothing for guide" in refused.err
    shown = shell("serve", "guide", "--lora", f"faq={adapter}", "--explain", "--json")
    (engine,) = json.loads(shown.out)["engines"]
    choices = {each["name"]: each["value"] for each in engine["choices"]}
    assert (choices["lora"], choices["cache_ram"]) == ("faq", 0)


def test_an_adapter_of_an_earlier_version_is_told(shell: Shell, tmp_path: Path) -> None:
    adapter = write_tiny_lora(tmp_path / "lora.gguf", GUIDE)
    page = {"name": "lora", "version": "1", "parent": "0" * 64}
    (tmp_path / "manifest.json").write_text(json.dumps(page))
    told = shell("explain", "guide", "--lora", str(adapter))
    assert told.status == 0, told.err
    assert "was trained on another version of guide" in told.err
