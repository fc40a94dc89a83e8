"""A recipe of every kind of step, as a person runs it: killed while it trains, gone on with, whole at the end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penjing import manifest
from penjing.probe import single
from shells import Shell

RECIPE = """
[model]
name = "guide"
[[step]]
kind = "vocabulary"
texts = "zh.txt"
size = 8
[[step]]
kind = "prune"
ratio = 0.1
texts = "text.txt"
windows = 2
tries = 1
[[step]]
kind = "distill"
data = "talks.jsonl"
steps = 40
batch = 2
length = 64
held_out = 0.0
save_every = 1
[[step]]
kind = "finetune"
data = "talks.jsonl"
steps = 2
batch = 2
length = 64
held_out = 0.0
[[step]]
kind = "quantize"
preset = "Q4_K_M"
texts = "text.txt"
windows = 4
[[step]]
kind = "evaluate"
texts = "text.txt"
windows = 2
questions = 2
"""
KINDS = ["vocabulary", "prune", "distill", "finetune", "quantize", "evaluate"]
WORDS = "A small tree stands in a flat pot {}, and its keeper cuts a branch each spring. "


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    talk = {"instruction": "What is bonsai?", "output": "A small tree in a pot."}
    (tmp_path / "talks.jsonl").write_text("\n".join([json.dumps(talk)] * 4))
    (tmp_path / "text.txt").write_text("".join(WORDS.format(index) for index in range(160)))
    (tmp_path / "zh.txt").write_text("鹅卵石铺在苔藓旁边，修剪枝条需要耐心。" * 130, encoding="utf-8")
    (tmp_path / "r.toml").write_text(RECIPE)
    return tmp_path / "r.toml"


@pytest.mark.extras
def test_every_kind_of_step(shell: Shell, recipe: Path, tmp_path: Path) -> None:
    words = ["shrink", "--recipe", str(recipe), "-o", str(tmp_path / "out")]
    planned = shell(*words, "--dry-run", "--json")
    assert planned.status == 0, planned.err
    steps = json.loads(planned.out)["plan"]["steps"]
    assert [each["kind"] for each in steps] == KINDS
    assert not (tmp_path / ".out.shrink").exists()
    _kill_while_it_trains(words, tmp_path / ".out.shrink")
    (states,) = (tmp_path / ".out.shrink").glob("*/output.training")
    kept = max(path.name for path in states.glob("step-*.pt"))
    done = shell(*words, "--json")
    assert done.status == 0, done.err
    assert kept > "step-00000000.pt"
    told = json.loads(done.out)
    assert [each["resumed"] for each in told["result"]["steps"]][:3] == [True, True, False]
    said = manifest.load(tmp_path / "out")
    entries = said.recipe["steps"]
    assert [each["step"] for each in entries] == KINDS  # type: ignore[attr-defined, index]  # a list of entries
    assert manifest.changed(said, tmp_path / "out") == []
    assert single.read(tmp_path / "out" / "out.gguf").vocabulary > 4096
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for words_there in ("Answers before and after", "前后的回答", "Bits of each tensor", "Words were added"):
        assert words_there in page
    assert not (tmp_path / ".out.shrink").exists()


def _kill_while_it_trains(words: list[str], work: Path) -> None:
    """With kill -9, when the second state of the training is there."""
    with subprocess.Popen([sys.executable, "-m", "penjing", *words], stderr=subprocess.PIPE) as process:
        while len(list(work.glob("*/output.training/step-*.pt"))) < 2:
            assert process.poll() is None, process.communicate()[1].decode()
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
