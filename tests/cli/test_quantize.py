"""`penjing quantize` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penjing.cli.main import run
from penjing.lock import held_now
from penjing.probe import single
from penjing.shrink import alone
from tiny_checkpoint import write_checkpoint
from tiny_model import Shape, write_tiny_gguf


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    write_tiny_gguf(tmp_path / "tiny.gguf", Shape(layers=1, width=256, heads=4, feed_forward=288))
    return tmp_path


def test_a_preset_without_text(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", "tiny.gguf", "--preset", "q4_k_m", "--text", "none"]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == "tiny-Q4_K_M.gguf"
    assert "blk.0.ffn_down.weight (Q8_0)" in told.err  # 288 is no multiple of 256
    types = {tensor.name: tensor.type for tensor in single.read(here / "tiny-Q4_K_M.gguf").tensors}
    assert types["blk.0.attn_q.weight"] == "Q4_K"
    assert run(["quantize", "tiny.gguf", "--preset", "Q4_K_M", "--text", "none"]) == 2
    assert "is there already" in capsys.readouterr().err


def test_types_that_were_given(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--preset", "Q4_K_M", "--text", "none", "--type", "attn_q=q8_0", "--type", "attn=Q5_K", "-o", "a.gguf"]
    assert run(["quantize", "tiny.gguf", *words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["types"]["blk.0.attn_q.weight"] == "Q8_0"
    assert told["types"]["blk.0.attn_k.weight"] == "Q5_K"
    assert told["types"]["blk.0.ffn_up.weight"] == "Q4_K"
    assert told["bytes"] == (here / "a.gguf").stat().st_size


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("--to", "1KB"), 2, "the smallest possible is"),
        (("--to", "much"), 2, "no amount"),
        (("--to", "1MB", "--bits", "4"), 2, "--to and --bits"),
        (("--bits", "17"), 2, "1.5 to 16"),
        (("--preset", "Q4"), 2, "Q4_K_M"),
        (("--preset", "Q8_0", "--type", "attn_x=Q8_0", "--text", "none"), 2, "attn_x"),
        (("--type", "attn_q"), 2, "PATTERN=TYPE"),
        (("--type", "attn_q=Q9"), 2, "IQ4_XS"),
        (("--bits", "4", "--text", "none"), 2, "measured on text"),
        (("--preset", "Q8_0", "--imatrix", "tiny.gguf"), 3, "no importance matrix"),
        (("--preset", "Q8_0", "--text", "none", "--threads", "no"), 2, "whole number"),
        (("--preset", "Q8_0", "--rounding", "odd"), 2, "feedback, autoround"),
        (("--preset", "Q8_0", "--iterations", "9"), 2, "beside --rounding autoround"),
        (("--preset", "Q8_0", "--rounding", "autoround", "--train", "9"), 2, "--train"),
    ],
)
def test_what_cannot_be(
    here: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, told: str
) -> None:
    (here / "text.txt").write_text("bonsai " * 4000)
    if "--text" not in words:
        words = (*words, "--text", "text.txt")
    assert run(["quantize", "tiny.gguf", *words]) == status
    assert told in capsys.readouterr().err
    assert [path.name for path in here.glob("*.gguf")] == ["tiny.gguf"]


def test_rows_that_fit_few_types_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a budget as with a mixture; what is too small is called as it was named, with bits that can be asked for."""
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    write_checkpoint(Path("odd"))
    Path("odd/README.md").write_text("---\nlicense: cc-by-nd-4.0\n---\n")
    Path("text.txt").write_text("bonsai " * 4000)
    words = ["quantize", "odd", "--text", "text.txt", "--allow-untrusted"]
    assert run([*words, "--bits", "3"]) == 2
    told = capsys.readouterr().err
    assert "odd cannot be made as small as" in told
    bits = told.partition("KB (")[2].partition(" bits")[0]
    assert run([*words, "--bits", bits, "-o", "small.gguf"]) == 0
    told = capsys.readouterr().err
    assert "The licence of odd (cc-by-nd-4.0) forbids passing on changed versions." in told
    assert "Only some types fit 16 tensors, since their rows are no multiple of 256" in told
    assert "--against odd\n" in told
    assert single.read(Path("small.gguf")).bits_per_weight <= float(bits)


def test_two_runs_on_one_output(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with alone.alone(here / "a.gguf"):
        (lock,) = (here / "home" / "locks").iterdir()
        with held_now(lock) as mine:
            assert not mine
        assert run(["quantize", "tiny.gguf", "--preset", "Q8_0", "--text", "none", "-o", "a.gguf"]) == 4
    assert "Another penjing is writing" in capsys.readouterr().err
    assert run(["quantize", "tiny.gguf", "--preset", "Q8_0", "--text", "none", "-o", "a.gguf"]) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--to", "torch-int5"), "torch-int8, torch-int4, torch-nf4"),
        (("--to", "torch-int8", "--bits", "4"), "left out beside --to torch-int8"),
        (("--to", "torch-int8", "--type", "attn_q=Q8_0"), "left out beside --to torch-int8"),
    ],
)
def test_a_checkpoint_for_torch_that_cannot_be(
    words: tuple[str, ...], told: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["quantize", "tiny.gguf", *words]) == 2
    assert told in capsys.readouterr().err
