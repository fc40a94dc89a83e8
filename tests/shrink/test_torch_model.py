"""Checkpoints in and out of torch: what is wrong is named, what is written is whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from penjing import manifest
from penjing.errors import PenjingError
from penjing.probe.faults import MissingShards
from penjing.shrink import torch_model
from penjing.shrink.lineage import Step
from penjing.shrink.output import OutputTaken
from tiny_checkpoint import tensors, write_checkpoint, write_safetensors, write_sharded

pytestmark = pytest.mark.extras
STEP = Step("prune", {"ratio": 0.3}, seed=7, data={"texts": "ab"})


def fields(folder: Path, **changes: Any) -> None:
    page = folder / "config.json"
    page.write_text(json.dumps({**json.loads(page.read_text()), **changes}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_saved_as_it_was_loaded_with_where_it_came_from(folder: Path, tmp_path: Path) -> None:
    import torch

    (folder / "README.md").write_text("---\nlicense: mit\n---\n# tiny")
    loaded = torch_model.load(folder)
    made = torch_model.save(loaded, tmp_path / "next", STEP)
    again = torch_model.load(tmp_path / "next")
    before, after = loaded.model.state_dict(), again.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (tmp_path / "next/tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    assert manifest.load(tmp_path / "next") == made
    assert not manifest.changed(made, tmp_path / "next")
    assert (made.licence, made.facts["parameters"]) == ("mit", loaded.parameters)
    assert made.recipe["steps"][0].items() >= {"step": "prune", "seed": 7, "data": {"texts": "ab"}}.items()  # type: ignore[index]
    third = torch_model.save(again, tmp_path / "third", Step("distill", {}))
    assert [entry["step"] for entry in third.recipe["steps"]] == ["prune", "distill"]  # type: ignore[attr-defined]
    assert third.parent == manifest.digest(tmp_path / "next/manifest.json")


def test_nothing_is_written_over_and_nothing_left_half(folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    loaded = torch_model.load(folder)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/precious").write_text("x")
    with pytest.raises(OutputTaken):
        torch_model.save(loaded, tmp_path / "taken", STEP)
    monkeypatch.setattr(torch_model, "write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        torch_model.save(loaded, tmp_path / "new", STEP)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken", "tiny"]


def test_what_is_wrong_is_named(folder: Path, tmp_path: Path) -> None:
    numbers = tensors()
    numbers["model.layers.1.mlp.up_proj.weight"][3, 4] = float("nan")
    write_safetensors(folder / "model.safetensors", numbers)
    with pytest.raises(torch_model.WeightsNotFinite, match=r"model\.layers\.1\.mlp\.up_proj\.weight has 1 numbers"):
        torch_model.load(folder)
    del numbers["model.layers.1.mlp.up_proj.weight"]
    write_safetensors(folder / "model.safetensors", numbers)
    with pytest.raises(torch_model.WeightsIncomplete, match=r"1 of .*model\.layers\.1\.mlp\.up_proj\.weight"):
        torch_model.load(folder)
    shards = tmp_path / "shards"
    write_sharded(shards)
    next(shards.glob("*-00002-of-*")).unlink()
    with pytest.raises(MissingShards):
        torch_model.load(shards)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "lama"}, "llama"),
        ({"model_type": "zzz", "auto_map": {"AutoModelForCausalLM": "evil.Model"}}, "never run"),
        ({"quantization_config": {"quant_method": "gptq"}}, "gptq"),
        ({"hidden_size": 63}, "transformers"),
    ],
)
def test_configs_that_cannot_be(folder: Path, changes: dict[str, Any], words: str) -> None:
    fields(folder, **changes)
    (folder / "evil.py").write_text("raise SystemExit('this ran')")
    with pytest.raises(PenjingError) as caught:
        torch_model.load(folder)
    assert words in caught.value.message("en") + caught.value.advice("en")
    shutil.rmtree(folder)
