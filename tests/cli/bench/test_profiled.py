"""`penjing bench --profile` as a person types it, with the real engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shells import Shell

SMALL = ("bench", "--prompt", "24", "--output-tokens", "4", "--seconds", "0.1")


def test_files_and_a_table(shell: Shell, tmp_path: Path) -> None:
    done = shell(*SMALL, "--profile", "p.svg", "--profile", "p.json", "--profile", "p.md", "--threads", "1")
    assert done.status == 0, done.err
    assert "matrix product" in done.out
    assert "Q8_0 → F32" in done.out
    assert "decode, one token:" in done.out
    assert (tmp_path / "p.svg").read_text().startswith("<svg")
    assert [one["type"] for one in json.loads((tmp_path / "p.json").read_text())["profiles"]] == [
        *("evented", "sampled"),
        *("evented", "sampled"),
    ]
    assert "| **matrix product** |" in (tmp_path / "p.md").read_text()
    assert sorted(path.name for path in tmp_path.glob("p.*")) == ["p.json", "p.md", "p.svg"]


def test_document_in_seconds(shell: Shell) -> None:
    done = shell(*SMALL, "--profile", "p.svg", "--json", "--threads", "1")
    document = json.loads(done.out)
    for name in ("prefill", "decode"):
        phase = document[name]
        assert sum(part["seconds"] for part in phase["groups"]) == pytest.approx(phase["total"])
        assert phase["accounted"] == pytest.approx(phase["total"] / phase["plain"])
        assert {part["label"] for part in phase["operators"]} >= {"ffn_up", "attn_q", "output"}


def test_in_chinese(shell: Shell) -> None:
    done = shell(*SMALL, "--profile", "p.svg", "--threads", "1", LANG="zh_CN.UTF-8")
    assert "矩阵乘法" in done.out
    assert "attention" not in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--profile", "p.txt"), "Let it end in .svg"),
        (("--profile", "p.svg", "--vs", "guide"), "--vs says nothing to --profile"),
        (("--profile", "p.svg", "--concurrency", "4"), "--concurrency says nothing"),
        (("--profile", "p.svg", "--prompt", "128,512"), "--prompt names several"),
        (("--profile", "p.svg", "--seconds", "soon"), "bench.seconds"),
        (("--profile", "p.svg", "--prompt", "4096"), "tokens of prompt"),
        (("http://127.0.0.1:9", "--profile", "p.svg"), "is a server"),
    ],
)
def test_what_cannot_be(shell: Shell, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = shell("bench", *arguments)
    assert done.status not in (0, 1)
    assert said in " ".join(done.err.split())
    assert not list(tmp_path.glob("p.*"))
