"""From a size to a file, on the real engine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from fleet.adversity import small_disk
from penjing.errors import DiskFull
from penjing.probe import single
from penjing.progress import Progress
from penjing.shrink.quantize import budget, notes, refine, trial, way, worth
from penjing.shrink.quantize.budget import bytes_of, fit, least_bytes
from penjing.shrink.quantize.faults import BudgetTooSmall
from penjing.shrink.quantize.importance import Importance
from penjing.shrink.quantize.judge import Judge
from penjing.shrink.quantize.workshop import Workshop
from penjing.shrink.texts.windows import Windows
from tiny_model import Shape, write_tiny_gguf

SHAPE = Shape(layers=1, width=256, heads=4, kv_heads=2, feed_forward=512)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(refine, "CORRECTIONS", 1)
    monkeypatch.setattr(refine, "EXCHANGES", 2)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("budget") / "tiny.gguf", SHAPE)


@pytest.fixture(scope="module")
def windows() -> Windows:
    tokens = np.random.default_rng(0).integers(0, 256, (2, 64)).astype(np.int32)
    return Windows("dice", "0" * 64, tokens, np.ones_like(tokens, np.bool_))


def test_within_the_size_and_better_where_there_is_room(source: Path, windows: Windows, tmp_path: Path) -> None:
    model = single.read(source)
    stages: list[str] = []
    found = []
    for bits in (3.0, 5.0):
        target = tmp_path / f"{bits}.gguf"
        size = bytes_of(model, bits)
        done = fit(source, target, size, windows, threads=1, report=lambda progress: stages.append(progress.stage))
        assert size * 0.97 < target.stat().st_size <= size
        assert done.measured is not None
        with Judge(source, windows, threads=1) as judge:
            assert judge.kl(target) == pytest.approx(done.measured, rel=1e-3)  # the file is the one that was tried
        found.append(done.measured)
    assert found[1] < found[0] / 3
    assert set(stages) == {"calibrating", "trying types", "measuring", "refining", "quantizing"}


def test_a_large_model_is_measured_kind_by_kind(
    windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file; the result has all sweeps."""
    source = write_tiny_gguf(tmp_path / "two.gguf", dataclasses.replace(SHAPE, layers=2))
    for module in (budget, trial, worth, way):
        monkeypatch.setattr(module, "FINE", 0)
    monkeypatch.setattr(Workshop, "write", lambda *_: pytest.fail("a file was written"))
    model = single.read(source)
    size = bytes_of(model, 3.5)
    target = tmp_path / "small.gguf"
    done = fit(source, target, size, windows, threads=1)
    assert size * 0.95 < target.stat().st_size <= size
    kinds = {name.split(".", 2)[-1] for name in done.types}
    assert (done.tried, done.measured) == (len(kinds), None)
    assert len({done.worth[f"blk.{layer}.ffn_down.weight"] for layer in (0, 1)}) == 1


def test_what_was_measured_is_not_measured_again(
    source: Path, windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = bytes_of(single.read(source), 4.0)
    stopped: list[float] = []
    measured: list[float] = []

    def stop(progress: Progress) -> None:
        stopped.append(progress.fraction)
        if progress.stage == "measuring":
            measured.append(progress.fraction)
        if len(measured) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(source, tmp_path / "a.gguf", size, windows, threads=1, report=stop)
    assert stopped == sorted(stopped)
    assert not (tmp_path / "a.gguf").exists()
    kept = notes.Notes(single.read(source), {"text": windows.digest, "windows": list(windows.tokens.shape)}).kept
    assert len(kept.kl) >= 1
    assert len(kept.errors) == 8
    before = dict(kept.kl)
    asked: list[str] = []
    real = Judge.kl
    monkeypatch.setattr(Judge, "kl", lambda self, path: asked.append(path.name) or real(self, path))
    done = fit(source, tmp_path / "a.gguf", size, windows, threads=1)
    assert len(asked) == done.tried - len(before)


def test_the_smallest_possible_is_named_and_possible(source: Path, windows: Windows, tmp_path: Path) -> None:
    least = least_bytes(single.read(source))
    with pytest.raises(BudgetTooSmall, match=r"the smallest possible is .*bits a weight") as caught:
        fit(source, tmp_path / "a.gguf", least - 1, windows)
    assert list(tmp_path.glob("*.gguf")) == []
    assert float(str(caught.value.facts["smallest"]).split()[0]) * 1000 >= least
    done = fit(source, tmp_path / "a.gguf", least, windows, threads=1)
    assert (tmp_path / "a.gguf").stat().st_size <= least
    assert set(done.types.values()) == {"IQ2_XXS"}


def test_tensors_whose_type_was_given(source: Path, windows: Windows, tmp_path: Path) -> None:
    size = bytes_of(single.read(source), 4.5)
    fixed = {"token_embd.weight": "Q8_0"}
    done = fit(source, tmp_path / "a.gguf", size, windows, fixed=fixed, threads=1)
    assert done.types["token_embd.weight"] == "Q8_0"
    assert (tmp_path / "a.gguf").stat().st_size <= size


def test_another_text_is_another_measurement(source: Path, windows: Windows) -> None:
    model = single.read(source)
    other = dataclasses.replace(windows, digest="1" * 64)
    places = [notes.Notes(model, {"text": each.digest, "windows": [2, 64]}).path for each in (windows, other)]
    assert places[0] != places[1]


def test_a_disk_without_room_for_what_is_tried(source: Path, windows: Windows, tmp_path: Path) -> None:
    """Told before anything is measured; and where it fills up later, with the folder and the size."""
    model = single.read(source)
    stages: list[str] = []
    with small_disk(tmp_path / "disk", source.stat().st_size // 2):
        target = tmp_path / "disk" / "a.gguf"
        with pytest.raises(DiskFull, match=str(target.parent)):
            fit(source, target, bytes_of(model, 3.0), windows, report=lambda told: stages.append(told.stage))
        assert stages == []
        types = {tensor.name: tensor.type for tensor in model.tensors}
        with pytest.raises(DiskFull, match=str(target.parent)):
            Workshop(model, Importance({})).write(target, types)
        assert list(target.parent.iterdir()) == []
