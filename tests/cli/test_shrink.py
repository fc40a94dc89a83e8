"""`penjing shrink` as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penjing import manifest
from penjing.cli.main import run
from penjing.store.resolve import guide
from shells import Shell
from tiny_checkpoint import write_checkpoint

RECIPE = """
[model]
name = "model"

[[step]]
kind = "quantize"
preset = "F16"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "model")
    card = "---\nlicense: cc-by-nc-nd-4.0\n---\nA model."
    (tmp_path / "model" / "README.md").write_text(card)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path / "recipe.toml"


def test_a_plan(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["shrink", "guide", "--to", "3MB", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "at most 3.0 MB (26 % of 11.5 MB)" in shown
    assert "assumed" in shown
    assert run(["shrink", "guide", "--to", "3MB", "--dry-run", "--json", "-q"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["plan"]["bytes"] == 3_000_000
    assert [step["kind"] for step in told["plan"]["steps"]] == ["quantize", "evaluate"]
    assert told["licence"] == "Apache-2.0"
    assert not (clean / "shrink").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (["guide"], 2, "--to 1.5GB"),
        (["--bits", "4"], 2, "Which model"),
        (["nowhere", "--bits", "4"], 3, "nowhere"),
        (["guide", "--to", "much"], 2, "no amount"),
        (["guide", "--bits", "4", "--to", "3MB"], 2, "cannot both hold"),
        (["guide", "--bits", "99"], 2, "1.5 to 16"),
        (["guide", "--ratio", "3"], 2, "between 0 and 1"),
        (["guide", "--to", "200KB"], 2, "smallest possible is"),
        (["guide", "--to", "1GB"], 2, "not more than"),
        (["guide", "--recipe", "none.toml"], 2, "none.toml is not a recipe"),
        (["guide", "--recipe", "bad.toml"], 2, "bad.toml:3: unknown option 'bit'. Nearest: bits"),
        (["guide", "--recipe", "order.toml"], 3, "Step 2 (prune) works on a checkpoint folder"),
        (["guide", "--recipe", "preset.toml", "--bits", "4"], 2, "left out where bits is given"),
        (["guide", "--recipe", "text.toml", "--dry-run"], 2, "nowhere.txt (quantize.texts) is not there"),
        (["guide", "--recipe", "task.toml", "--dry-run"], 2, "what is built in: yardstick, general"),
        (["guide", "--recipe", "data.toml", "--dry-run"], 2, "talks.jsonl (finetune.data) is not there"),
        (["guide.gguf", "--bits", "4"], 3, "already quantized"),
        (["guide", "--bits", "4", "--output", "taken"], 2, "taken is there already"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: list[str], status: int, word: str, clean: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("guide.gguf").write_bytes(guide().read_bytes())
    Path("bad.toml").write_text('[[step]]\nkind = "quantize"\nbit = 4')
    Path("order.toml").write_text('[[step]]\nkind = "quantize"\n[[step]]\nkind = "prune"\nratio = 0.2')
    Path("preset.toml").write_text('[[step]]\nkind = "quantize"\npreset = "Q6_K"')
    Path("text.toml").write_text('[[step]]\nkind = "quantize"\ntexts = ["calibration", "nowhere.txt"]')
    Path("task.toml").write_text('[[step]]\nkind = "evaluate"\ntasks = "yardsticks"')
    Path("data.toml").write_text('[[step]]\nkind = "finetune"\ndata = "talks.jsonl"')
    Path("taken").mkdir()
    Path("taken", "mine").write_text("")
    assert run(["shrink", *arguments]) == status
    assert word in capsys.readouterr().err


def test_a_recipe_becomes_a_version(shell: Shell, recipe: Path) -> None:
    done = shell("shrink", "--recipe", str(recipe), "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert told["result"]["version"] == "model-small@1"
    made = Path(told["result"]["path"])
    said = manifest.load(made.parent)
    assert said.licence == "cc-by-nc-nd-4.0"
    assert said.recipe["licence_forbids_derivatives"] is True
    assert "forbids to pass changed copies on" in done.err
    page = (made.parent / "report.html").read_text(encoding="utf-8")
    assert "<title>model-small · penjing shrink</title>" in page
    answer = shell("chat", "model-small", "-p", "a", "--max-tokens", "4", "--json")
    assert answer.status == 0, answer.err


def test_a_plan_says_what_an_earlier_run_has_done(
    clean: Path, recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recipe.parent)
    asked = ["shrink", "--recipe", str(recipe), "--output", "out"]
    assert run([*asked, "--dry-run"]) == 0
    assert "done before" not in capsys.readouterr().out
    assert run([*asked, "--keep"]) == 0
    capsys.readouterr()
    assert run([*asked, "--dry-run"]) == 0
    assert "done before" in capsys.readouterr().out
    assert run([*asked, "--dry-run", "--json"]) == 0
    assert all(step["done"] for step in json.loads(capsys.readouterr().out)["plan"]["steps"])
