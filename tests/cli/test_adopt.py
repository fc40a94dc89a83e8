"""`penjing adopt` as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shells import Shell
from tiny_model import write_tiny_gguf


@pytest.fixture
def studio(clean: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """LM Studio's folder with one model."""
    for name in ("HF_HUB_CACHE", "HF_HOME", "OLLAMA_MODELS", "MODELSCOPE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(clean.parent))
    folder = clean.parent / ".lmstudio" / "models" / "pub" / "Tiny-GGUF"
    folder.mkdir(parents=True)
    write_tiny_gguf(folder / "Tiny-F32.gguf")
    return folder


def test_shown_adopted_and_talked_to(studio: Path, shell: Shell) -> None:
    shown = shell("adopt")
    assert "LM Studio" in shown.out
    assert "pub/Tiny-GGUF:F32" in shown.out
    (told,) = json.loads(shell("adopt", "--json").out)
    assert (told["program"], told["version"]) == ("lmstudio", "")
    done = shell("adopt", "pub/tiny-gguf", "--json")
    (told,) = json.loads(done.out)
    assert (told["version"], told["linked"]) == ("pub/tiny-gguf@1", True)
    assert "penjing chat pub/tiny-gguf:f32" in done.err
    assert "adopted before" in shell("adopt", "--all").err
    assert "pub/tiny-gguf@1" in shell("adopt").out
    (studio / "Tiny-F32.gguf").unlink()
    assert shell("chat", "pub/tiny-gguf", "-p", "hi", "--max-tokens", "2").status == 0


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (("nothing",), 3, "--folder DIR"),
        (("x", "--all"), 2, "Leave one"),
        (("--from", "jan"), 2, "lmstudio"),
        (("--folder", "nowhere"), 3, "nowhere"),
    ],
)
def test_what_goes_wrong(studio: Path, shell: Shell, arguments: tuple[str, ...], status: int, word: str) -> None:
    done = shell("adopt", *arguments)
    assert (done.status, word in done.err) == (status, True), done.err


def test_nobody_keeps_anything(clean: Path, shell: Shell) -> None:
    done = shell("adopt", HOME=str(clean.parent / "nobody"), HF_HOME=str(clean.parent / "nobody"))
    assert (done.status, done.out) == (0, "")
    assert "没有其他程序" in shell("adopt", HOME=str(clean), HF_HOME=str(clean), PENJING_LANGUAGE="zh").err
