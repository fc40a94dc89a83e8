"""`penjing prune` and `penjing distill` as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penjing.shrink.alone import alone
from shells import Shell
from tiny_checkpoint import write_checkpoint

TAUGHT = ["distill", "guide", "--data", "a.jsonl", "-o", "o"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["prune", "guide"], "--output is missing"),
        (["prune", "guide", "-o", "o", "--ratio", "2"], "prune.ratio = 2.0 (from --ratio)"),
        (["prune", "guide", "-o", "o", "--parts", "ears"], "is not some of inner, heads, layers, hidden"),
        (["prune", "guide", "-o", "o", "--criterion", "luck"], "curvature, taylor, activation"),
        (["distill", "guide", "-o", "o"], "--data is missing"),
        (TAUGHT, "One of --teacher and --teacher-url is needed"),
        ([*TAUGHT, "--teacher", "guide", "--teacher-url", "http://a"], "One of --teacher and --teacher-url is needed"),
        ([*TAUGHT, "--teacher-url", "http://a"], "--teacher-model is missing"),
        ([*TAUGHT, "--teacher", "guide", "--divergence", "odd"], "one of forward, reverse"),
    ],
)
def test_what_was_typed_wrong_is_named(shell: Shell, words: list[str], told: str) -> None:
    done = shell(*words)
    assert done.status == 2
    assert told in done.err


@pytest.mark.extras
def test_pruned_and_told(shell: Shell, tmp_path: Path) -> None:
    model, output = write_checkpoint(tmp_path / "tiny"), tmp_path / "pruned"
    words = ["--windows", "4", "--context", "128", "--tries", "1", "--seed", "3"]
    done = shell("prune", str(model), "-o", str(output), *words, "--json", "--allow-untrusted")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert told["found"]["parameters"]["after"] <= 0.7 * told["found"]["parameters"]["before"]
    assert (told["step"], told["seed"], told["options"]["ratio"]) == ("prune", 3, 0.3)
    assert set(told["data"]) == {"calibration.en", "calibration.zh"}
    again = shell("prune", str(model), "-o", str(output), *words, "--allow-untrusted")
    assert again.status == 2
    assert "is there already" in again.err


@pytest.mark.extras
@pytest.mark.parametrize(
    "words",
    [
        ["prune", "tiny"],
        ["prune", "tiny", "--pattern", "2:4"],
        ["distill", "tiny", "--teacher", "tiny", "--data", "a.jsonl"],
        ["finetune", "tiny", "--data", "a.jsonl"],
        ["vocabulary", "tiny", "--add", "zh.txt"],
    ],
)
def test_a_second_run_on_one_output_is_refused_before_it_works(shell: Shell, tmp_path: Path, words: list[str]) -> None:
    write_checkpoint(tmp_path / "tiny")
    (tmp_path / "a.jsonl").write_text('{"instruction": "a", "output": "b"}')
    (tmp_path / "zh.txt").write_text("盆景让模型变小。" * 500)
    with alone(tmp_path / "out"):
        done = shell(*words, "-o", "out", "--allow-untrusted")
    assert done.status == 4
    assert "Another penjing is writing" in done.err
    assert "..." not in done.err  # no work was begun
    assert not (tmp_path / "out").exists()


@pytest.mark.extras
def test_a_server_is_not_asked_without_leave(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"instruction": "a", "output": "b"}')
    model = write_checkpoint(tmp_path / "tiny")
    far = ["--teacher-url", "http://127.0.0.1:9", "--teacher-model", "m", "--allow-untrusted"]
    done = shell("distill", str(model), "--data", str(tmp_path / "a.jsonl"), "-o", str(tmp_path / "o"), *far)
    assert done.status == 2
    assert "--consent" in done.err
