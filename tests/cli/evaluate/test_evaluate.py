"""The verb `evaluate`, on the built-in model and on tiny ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penjing.cli.evaluate import running
from penjing.cli.main import run
from tiny_model import Shape, write_tiny_gguf

TEXT = "The quick brown fox jumps over the lazy dog. " * 12


@pytest.fixture(autouse=True)
def _clean(clean: Path) -> None:
    """Nothing is set here."""


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str, str]:
    """Two tiny models with the same tokens, and a text."""
    text = tmp_path / "mine.txt"
    text.write_text(TEXT)
    models = (write_tiny_gguf(tmp_path / f"{seed}.gguf", Shape(seed=seed)) for seed in (0, 1))
    one, two = map(str, models)
    return one, two, str(text)


def test_a_table_for_people(pair: tuple[str, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    one, two, text = pair
    assert run(["evaluate", one, "--against", two, "--text", text, "--context", "128", "--no-speed"]) == 0
    said = capsys.readouterr()
    assert f"{one} (F32) against {two} (F32)" in said.out
    for words in ("perplexity", "KL divergence, mean", "same likeliest token", "95 % interval", "mine.txt; 4 windows"):
        assert words in said.out
    assert "tok/s" not in said.out
    assert "Comparing predictions" in said.err


def test_files_and_json(pair: tuple[str, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two, text = pair
    files = [str(tmp_path / f"report.{form}") for form in ("json", "md", "html")]
    written = [word for file in files for word in ("-o", file)]
    asked = ["evaluate", one, "--against", two, "--text", text, "--context", "128", "--no-speed", "--json", *written]
    assert run(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(Path(files[0]).read_text())
    assert told["text"]["against"]["kl"]["value"] > 0
    assert "| KL divergence, mean (nats) |" in Path(files[1]).read_text()
    page = Path(files[2]).read_text()
    assert page.count("<svg") >= 3
    assert "KL divergence from the parent" in page
    assert "与母模型的 KL 散度" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_speed_and_memory_of_a_model_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "ROUNDS", 1)
    monkeypatch.setattr(running, "REQUESTS", 1)
    asked = ["evaluate", "guide", "--text", "none", "--tasks", "yardstick", "--questions", "8", "--markdown"]
    assert run(asked) == 0
    said = capsys.readouterr().out
    assert "| yardstick, 8 questions right |" in said
    rows = {row.split("|")[1].strip(): row.split("|")[2].strip() for row in said.splitlines() if row.startswith("| ")}
    assert float(rows["prefill tok/s"]) > 0
    assert float(rows["decode tok/s"]) > 0
    assert rows["resident memory"].endswith("MB")


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["guide", "--text", "nowhere.txt"], 2, "There is no text 'nowhere.txt'"),
        (["guide", "--tasks", "nothing"], 2, "There is no task 'nothing'"),
        (["guide", "--output", "report.pdf"], 2, "report.pdf is not clear"),
        (["guide", "--windows", "few"], 2, "evaluate.windows = 'few'"),
        (["guide", "--bits", "7"], 2, "bits = '7'"),
        (["guide", "--against-bits", "8"], 2, "there is no --against"),
        (["guide", "--text", "none", "--no-speed"], 2, "nothing to evaluate"),
        (["http://127.0.0.1:9"], 2, "is a server"),
        (["./missing.gguf"], 3, "There is no model"),
        (["guide", "--context", "2"], 2, "at least 16"),
    ],
)
def test_what_cannot_be(words: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", *words]) == status
    said = capsys.readouterr()
    assert told in said.err
    assert not said.out


def test_a_text_in_another_language(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "russian.txt"
    text.write_text("Съешь же ещё этих мягких французских булок, да выпей чаю. " * 40, encoding="utf-8")
    assert run(["evaluate", "guide", "--text", str(text), "--no-speed"]) == 2
    assert "in a language that this model does not know" in capsys.readouterr().err
    text.write_text("Too short.")
    assert run(["evaluate", "guide", "--text", str(text), "--no-speed"]) == 2
    assert "is too short" in capsys.readouterr().err
