"""A student learns its teacher's distributions; killed runs go on; strangers are refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.errors import SettingError
from penjing.shrink.distill.faults import VocabulariesDiffer
from penjing.shrink.distill.options import Distilling
from penjing.shrink.distill.run import distill
from penjing.shrink.finetune.attempt import states
from penjing.store.resolve import guide
from tiny_checkpoint import CONFIG, write_checkpoint

extras = pytest.mark.extras
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QUICK = {"steps": 20, "rate": 3e-3, "batch": 8, "look_every": 10}


@pytest.mark.parametrize("wrong", [{"divergence": "odd"}, {"temperature": 0}, {"mix": 1.5}, {"length": 1}])
def test_options_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        Distilling(**wrong)


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    folder = write_checkpoint(tmp_path / "teacher")
    page = folder / "tokenizer_config.json"
    page.write_text(json.dumps({"eos_token": "<|im_end|>", "chat_template": CHATML}))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{"instruction": f"Say {index}.", "output": f"{name} {index}."} for index, name in enumerate("abcdefgh" * 8)]
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def config(folder: Path, **changes: Any) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}))
    return folder


@extras
@pytest.mark.parametrize(
    "options", [{}, {"divergence": "reverse"}, {"temperature": 2.0, "mix": 0.3}], ids=["forward", "reverse", "mixed"]
)
def test_a_new_small_student_comes_nearer(teacher: Path, data: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    student = config(tmp_path / "small", hidden_size=32, num_hidden_layers=1, head_dim=16)
    done = distill(student, [data], tmp_path / "out", Distilling(**QUICK, **options), teacher=teacher)
    assert done.before is not None
    assert done.after is not None
    assert done.after < 0.9 * done.before
    step = done.manifest.recipe["steps"][-1]  # type: ignore[index]
    assert step["found"]["teacher"]["name"] == "teacher"
    assert (tmp_path / "out/tokenizer.json").read_bytes() == (teacher / "tokenizer.json").read_bytes()
    assert not states(tmp_path / "out").exists()


@extras
def test_the_same_model_is_no_distance_away(teacher: Path, data: Path, tmp_path: Path) -> None:
    done = distill(teacher, [data], tmp_path / "out", Distilling(**{**QUICK, "steps": 1}), teacher=teacher)
    assert done.before == pytest.approx(0, abs=1e-6)


@extras
def test_zeros_of_a_sparse_student_stay(teacher: Path, data: Path, tmp_path: Path) -> None:
    from penjing.shrink import torch_model
    from penjing.shrink.packing import Example
    from penjing.shrink.prune.sparse import sparsify

    sparsify(teacher, tmp_path / "sparse", "2:4", [Example.of(list(range(40)))])
    distill(tmp_path / "sparse", [data], tmp_path / "out", Distilling(**{**QUICK, "steps": 5}), teacher=teacher)
    before, after = (torch_model.load(tmp_path / name).model.model.layers[0].mlp for name in ("sparse", "out"))
    zero = before.up_proj.weight == 0
    assert float(zero.float().mean()) == pytest.approx(0.5)
    assert bool((after.up_proj.weight[zero] == 0).all())
    assert not bool((after.up_proj.weight == before.up_proj.weight).all())


@extras
def test_strangers_are_refused(teacher: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(VocabulariesDiffer, match="4096 and 264 tokens"):
        distill(teacher, [data], tmp_path / "out", Distilling(), teacher=guide().parent)
    with pytest.raises(VocabulariesDiffer, match="264 and 300"):
        distill(config(tmp_path / "c", vocab_size=300), [data], tmp_path / "out", Distilling(), teacher=teacher)
    assert not (tmp_path / "out").exists()


@extras
def test_killed_and_resumed_it_has_the_same_weights(teacher: Path, data: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    student = config(tmp_path / "small", hidden_size=32, num_hidden_layers=1, head_dim=16)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PENJING_HOME": str(tmp_path / "home")}

    def command(output: Path, *more: str) -> list[str]:
        given = ["--data", str(data), "-o", str(output), "--steps", "30", "--save-every", "3", "--json", "-q", *more]
        page = str(student / "config.json")
        return [sys.executable, "-m", "penjing", "distill", page, "--teacher", str(teacher), *given]

    whole, killed = tmp_path / "one", tmp_path / "other"
    subprocess.run(command(whole), env=environment, check=True, capture_output=True)
    child = subprocess.Popen(command(killed), env=environment, stdout=subprocess.DEVNULL)
    while len(list(states(killed).glob("step-*.pt"))) < 2:
        assert child.poll() is None, "it was done before it could be killed"
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not killed.exists()
    done = subprocess.run(command(killed, "--resume"), env=environment, check=True, capture_output=True)
    assert json.loads(done.stdout)["found"]["steps"] == 30
    one, other = (load_file(each / "model.safetensors") for each in (whole, killed))
    assert all(np.array_equal(one[name], other[name]) for name in one)
