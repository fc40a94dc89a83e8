"""Checkpoints in few bits: written, loaded by transformers itself, trained beside and merged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penjing.cli.main import run
from penjing.probe import checkpoint
from penjing.store.resolve import guide

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]  # of torchao and bitsandbytes
KL = {"int8": 0.002, "int4": 0.15, "nf4": 0.18}
"""Nats a token that the built-in model may lose; seen: 0.0009, 0.111, 0.135."""
SIZE = {"int8": 0.61, "int4": 0.64, "nf4": 0.41}
"""Of 16 bits; the embedding, 18 % of the model, stays as it is."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("torchao")
    pytest.importorskip("bitsandbytes")
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data(here: Path) -> Path:
    rows = [{"instruction": f"Number {index}?", "output": f"It is {index}."} for index in range(8)]
    (here / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return here / "data.jsonl"


def tiny(folder: Path, **changes: object) -> Path:
    """A checkpoint of random weights with the built-in model's words."""
    import shutil

    from tiny_torch import tiny as model

    shape = {"vocab_size": 4096, "max_position_embeddings": 512, **changes}
    model(**shape).save_pretrained(folder)
    for path in guide().parent.glob("*token*"):
        shutil.copyfile(path, folder / path.name)
    return folder


@pytest.mark.parametrize("form", ["int8", "int4", "nf4"])
def test_transformers_loads_it_and_penjing_trains_beside_it_and_merges(
    form: str, here: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    assert run(["quantize", "guide", "--to", f"torch-{form}", "-o", "few", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert 0 < told["kl"] < KL[form]
    assert told["bytes"] < SIZE[form] * told["source_bytes"]
    made = json.loads((here / "few" / "manifest.json").read_bytes())
    assert made["parent"]
    assert made["recipe"]["steps"][-1]["found"]["kl"] == told["kl"]
    model = AutoModelForCausalLM.from_pretrained(here / "few", dtype="auto")
    assert model.config.quantization_config.quant_method in ("torchao", "bitsandbytes")
    assert model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=3, do_sample=False).shape[-1] > 3

    words = ["--data", str(data), "--steps", "4", "--batch", "4", "--rate", "3e-3", "--quiet"]
    assert run(["finetune", "few", *words, "-o", "beside"]) == 0
    assert not (here / "beside" / "adapter.gguf").exists()
    assert run(["finetune", "few", *words, "--merge", "-o", "merged"]) == 0
    config = checkpoint.load_json(here / "merged" / "config.json")
    assert "quantization_config" not in config
    assert checkpoint.read(here / "merged").parameters == checkpoint.read(guide().parent).parameters


def test_files_are_cut_and_loaded_as_one(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from penjing.shrink.torch_bits import write

    source = tiny(here / "tiny")
    whole = write.quantize(source, here / "whole", "int4")
    monkeypatch.setattr(write, "SHARD", 64 << 10)
    cut = write.quantize(source, here / "cut", "int4")
    assert len(list((here / "cut").glob("model-*.safetensors"))) > 2
    assert cut.after == whole.after
    models = [AutoModelForCausalLM.from_pretrained(here / name, dtype="auto") for name in ("whole", "cut")]
    one, other = (model(torch.arange(3, 19)[None]).logits for model in models)
    assert torch.equal(one, other)


def test_rows_that_do_not_fit_are_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tiny(here / "odd", intermediate_size=72)
    assert run(["quantize", str(source), "--to", "torch-int4", "--text", "none"]) == 3
    told = capsys.readouterr().err
    assert "no multiple of 32" in told
    assert "down_proj.weight (72)" in told
    assert not list(here.glob("odd-torch*"))
    assert not list(here.glob(".odd*"))
    assert run(["quantize", str(source), "--to", "torch-int8", "--text", "none"]) == 0
    assert run(["quantize", str(source), "--to", "torch-int8", "--text", "none"]) == 2  # there already


def test_a_number_that_is_none_is_named_and_nothing_stays(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    from tiny_torch import tiny as model

    source = tiny(here / "nan")
    broken = model(vocab_size=4096, max_position_embeddings=512)
    with torch.no_grad():
        broken.model.layers[1].mlp.up_proj.weight[3, 4] = float("nan")
    broken.save_pretrained(source)
    assert run(["quantize", str(source), "--to", "torch-nf4", "--text", "none"]) == 3
    assert "layers.1.mlp.up_proj.weight" in capsys.readouterr().err
    assert sorted(path.name for path in here.iterdir() if path.name != "home") == ["nan"]


def test_what_cannot_be_is_told(here: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tiny(here / "tiny")
    assert run(["quantize", str(source), "--to", "torch-int8", "--text", "none", "-o", "few"]) == 0
    for words, told in (
        (["quantize", "few", "--to", "torch-int4"], "already quantized"),
        (["quantize", "few", "--bits", "4"], "already quantized"),
        (
            ["finetune", "few", "--data", str(data), "--method", "full", "-o", "x"],
            "an adapter can be trained beside it",
        ),
        (["finetune", "few", "--data", str(data), "--method", "qlora", "--base", "int4", "-o", "x"], "int8 already"),
    ):
        assert run(words) in (2, 3)
        assert told in capsys.readouterr().err
