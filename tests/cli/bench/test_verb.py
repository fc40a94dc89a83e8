"""`penjing bench` as a person types it, with the real engine and a real server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from shells import Shell

SMALL = ("--prompt", "32", "--output-tokens", "8", "--concurrency", "1,2", "--requests", "2", "--rounds", "2")


def test_figures_of_the_built_in_model(shell: Shell) -> None:
    done = shell("bench", *SMALL, "--json", "--slo", "ttft=60s")
    assert done.status == 0, done.err
    document = json.loads(done.out)
    (result,) = document["results"]
    assert [line["load"]["clients"] for line in result["lines"]] == [1, 2]
    for line in result["lines"]:
        figures = line["figures"]
        assert figures["prompt_tokens"] == 32  # counted by the engine: the template is part of it
        assert figures["completion_tokens"] == 8
        assert figures["first"]["p50"] > 0
        assert figures["good"] > 0
        assert figures["failed"] == {}
    assert result["exact"]
    assert result["fresh"]["resident"] > result["fresh"]["mapped"] > 0
    assert 0.5 < result["planned"] / result["fresh"]["resident"] < 2


def test_two_in_turn_and_files_to_keep(shell: Shell, tmp_path: Path) -> None:
    done = shell("bench", *SMALL, "--vs", "guide", "-o", "b.md", "-o", "b.json", "--cold")
    assert done.status == 0, done.err
    assert "guide (1)" in done.out
    assert "guide (1) over guide (2)" in done.out
    assert (tmp_path / "b.md").read_text().count("\n| guide") == 4
    kept = json.loads((tmp_path / "b.json").read_text())
    assert [start["cold"] for start in kept["results"][0]["starts"]] == [True, False]
    assert len(kept["compared"]) == 2


def test_in_chinese(shell: Shell) -> None:
    done = shell("bench", *SMALL, LANG="zh_CN.UTF-8")
    assert "首 token" in done.out
    assert "TTFT" not in done.out


def test_what_cannot_be_measured(shell: Shell) -> None:
    cases = {
        ("--prompt", "5000"): "5000 tokens of prompt",
        ("--prompt", "none"): "a whole number of at least 1",
        ("--slo", "fast"): "'fast' is no goal",
        ("-o", "x.pdf"): "x.pdf",
        ("--vs-key", "k"): "--vs-key does nothing",
        ("--shared-prompt", "400"): "400 shared tokens",
    }
    for arguments, said in cases.items():
        done = shell("bench", *arguments)
        assert done.status == 2, (arguments, done)
        assert said in done.err


def test_ctrl_c_keeps_what_was_measured(clean: Path) -> None:
    command = [sys.executable, "-m", "penjing", "bench", "--prompt", "32", "--seconds", "0.5", "--rounds", "500"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stderr is not None
        while "Measuring" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped early" in complaint
    assert "TTFT" in output
