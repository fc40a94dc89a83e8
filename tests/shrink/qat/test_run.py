"""A quantized file learns from its checkpoint, in the same bytes; killed runs go on; strangers are refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penjing.errors import SettingError
from penjing.export.gguf.convert import convert, layout
from penjing.probe import single
from penjing.shrink.finetune.attempt import states
from penjing.shrink.qat.faults import StartOfAnother
from penjing.shrink.qat.options import Refining
from penjing.shrink.quantize import quantize
from tiny_checkpoint import CONFIG, tensors, write_checkpoint, write_safetensors

extras = pytest.mark.extras
WIDE = {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 1, "head_dim": 16}
"""Rows of 256 numbers, as Q2_K wants them."""


def wide(folder: Path, **changes: int) -> Path:
    write_checkpoint(folder, **{**WIDE, **changes})
    write_safetensors(folder / "model.safetensors", tensors({**CONFIG, **WIDE, **changes}))
    return folder


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return wide(tmp_path / "original")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text(
        "\n".join(json.dumps({"text": f"{letter} says {index}. " * 4}) for index, letter in enumerate("abcdefgh" * 8))
    )
    return path


def start(original: Path, folder: Path, preset: str = "Q2_K") -> Path:
    whole = folder / "whole.gguf"
    convert(original, whole, 32)
    quantize(whole, folder / "start.gguf", preset)
    return folder / "start.gguf"


@extras
def test_it_comes_nearer_and_the_engine_reads_it(original: Path, data: Path, tmp_path: Path) -> None:
    from penjing.shrink.evaluate.run import evaluate
    from penjing.shrink.qat.run import refine
    from penjing.shrink.texts.read import read
    from penjing.shrink.texts.text import Text

    begun = start(original, tmp_path)
    options = Refining(steps=40, rate=0.02, batch=8, look_every=20)
    done = refine(original, begun, [data], tmp_path / "out.gguf", options, layout=layout)
    assert done.before is not None
    assert done.after is not None
    assert done.after < 0.8 * done.before
    one, other = single.read(begun), single.read(tmp_path / "out.gguf")
    assert [(each.name, each.type, each.bytes) for each in one.tensors] == [
        (each.name, each.type, each.bytes) for each in other.tensors
    ]
    assert not states(tmp_path / "out.gguf").exists()
    (tmp_path / "held.txt").write_text("c says 40. " * 60)
    text = Text("held", read(tmp_path / "held.txt").documents)
    found = [
        evaluate(path, tmp_path / "whole.gguf", texts=[text], context=128).text
        for path in (begun, tmp_path / "out.gguf")
    ]
    before, after = (each.against.kl.value for each in found if each and each.against)
    assert after < before  # llama.cpp's own arithmetic, on the file


@extras
def test_a_file_of_another_model_is_refused(original: Path, data: Path, tmp_path: Path) -> None:
    from penjing.shrink.qat.run import refine

    other = wide(tmp_path / "other", intermediate_size=512)
    with pytest.raises(StartOfAnother):
        refine(original, start(other, tmp_path), [data], tmp_path / "out.gguf", Refining(steps=1), layout=layout)
    assert not (tmp_path / "out.gguf").exists()


@extras
def test_killed_and_resumed_it_is_the_same_file(original: Path, data: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PENJING_HOME": str(tmp_path / "home")}
    environment["PENJING_QUANTIZE_SAVE_EVERY"] = "3"

    def command(output: Path, *more: str) -> list[str]:
        given = [
            "--preset",
            "Q2_K",
            "--text",
            "none",
            "--train",
            "30",
            "--data",
            str(data),
            "-o",
            str(output),
            "--json",
        ]
        return [sys.executable, "-m", "penjing", "quantize", str(original), *given, "-q", *more]

    whole, killed = tmp_path / "one.gguf", tmp_path / "other.gguf"
    subprocess.run(command(whole), env=environment, check=True, capture_output=True)
    child = subprocess.Popen(command(killed), env=environment, stdout=subprocess.DEVNULL)
    while len(list(states(killed).glob("step-*.pt"))) < 2:
        assert child.poll() is None, "it was done before it could be killed"
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not killed.exists()
    refused = subprocess.run(command(killed), env=environment, capture_output=True)
    assert refused.returncode == 2
    done = subprocess.run(command(killed, "--resume"), env=environment, check=True, capture_output=True)
    assert json.loads(done.stdout)["training"]["steps"] == 30
    assert killed.read_bytes() == whole.read_bytes()


def test_options_of_training_stand_beside_it() -> None:
    from penjing.cli.quantize.train import options

    nothing = dict.fromkeys(("train", "data", "rate", "batch", "minutes", "heldout", "device", "resume"))
    assert options(nothing) is None
    with pytest.raises(SettingError, match="beside --train"):
        options({**nothing, "rate": "0.1"})
