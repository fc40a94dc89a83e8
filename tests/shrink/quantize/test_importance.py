"""Importance matrices: measured on the engine beside arithmetic by hand, kept in the form of llama.cpp's tools."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from penjing.progress import Progress
from penjing.shrink.quantize import sums
from penjing.shrink.quantize.collect import Watch, collect
from penjing.shrink.quantize.faults import ImportanceMismatch, NotImportance
from penjing.shrink.quantize.importance import Columns, Importance, load, save
from penjing.shrink.quantize.sums import Sums
from tiny_model import Shape, write_tiny_gguf

WINDOWS = np.random.default_rng(0).integers(0, 256, (3, 64)).astype(np.int32)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("imatrix") / "tiny.gguf", Shape(width=128, feed_forward=288))


@pytest.fixture(scope="module")
def measured(tiny: Path) -> Importance:
    return collect(tiny, WINDOWS, texts=("dice",), products=True, threads=1)


def test_first_layer_by_hand(tiny: Path, measured: Importance) -> None:
    weights = {t.name: np.array(t.data, np.float32) for t in gguf.GGUFReader(tiny).tensors}
    seen = weights["token_embd.weight"].reshape(-1, 128)[WINDOWS.ravel()]
    seen = seen / np.sqrt((seen**2).mean(axis=1, keepdims=True) + 1e-5) * weights["blk.0.attn_norm.weight"]
    found = measured.columns["blk.0.attn_q.weight"]
    assert found.counts == [WINDOWS.size]
    assert np.allclose(found.sums[0], (seen**2).sum(axis=0), rtol=1e-4)
    assert found.products is not None
    assert np.allclose(found.products[0, 0, :128, :128], seen.T @ seen, rtol=1e-3, atol=1e-2)
    assert not found.products[0, 0, 128:].any()


def test_every_matrix_is_seen(measured: Importance) -> None:
    roles = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    assert {f"blk.{layer}.{role}.weight" for layer in (0, 1) for role in roles} <= set(measured.columns)
    assert measured.columns["blk.0.attn_q.weight"] is measured.columns["blk.0.attn_v.weight"]  # kept once
    for name, each in measured.columns.items():
        diagonal = np.concatenate([np.diag(block) for block in each.products[0]])[: each.sums.shape[1]]  # type: ignore[index]
        assert np.allclose(diagonal, each.sums[0], rtol=1e-3), name


def test_one_that_was_stopped_goes_on(
    tiny: Path, measured: Importance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))
    monkeypatch.setattr(sums, "EVERY", 0.0)
    heard: list[float] = []

    def stop(progress: Progress) -> None:
        heard.append(progress.fraction)
        if len(heard) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(tiny, WINDOWS, texts=("dice",), products=True, threads=1, report=stop)
    heard.append(-1)
    again = collect(tiny, WINDOWS, texts=("dice",), products=True, threads=1, report=stop)
    assert heard == [0, 1 / 3, 2 / 3, -1, 2 / 3]
    assert again.columns.keys() == measured.columns.keys()
    for name, each in measured.columns.items():
        assert np.array_equal(again.columns[name].sums, each.sums)
        assert np.array_equal(again.columns[name].products, each.products)  # type: ignore[arg-type]  # they are kept
    (kept,) = (tmp_path / "cache" / "quantize").iterdir()
    kept.write_bytes(kept.read_bytes()[:99])  # nothing that can be read
    heard.clear()
    collect(tiny, WINDOWS, products=True, threads=1, report=lambda progress: heard.append(progress.fraction))
    assert heard == [0, 1 / 3, 2 / 3]
    Sums(tiny, WINDOWS, products=True).forget()
    assert not kept.exists()


def test_kept_and_read_again(tmp_path: Path, measured: Importance) -> None:
    path = save(tmp_path / "imatrix.gguf", measured)
    again = load(path)
    assert (again.chunks, again.chunk_size) == (3, 64)
    assert again.columns.keys() == measured.columns.keys()
    for name, each in measured.columns.items():
        assert np.array_equal(again.columns[name].sums, each.sums)
        assert np.array_equal(again.columns[name].counts, each.counts)
    reader = gguf.GGUFReader(path)
    assert reader.fields["general.type"].contents() == "imatrix"
    assert reader.fields["imatrix.datasets"].contents() == ["dice"]
    shapes = {tensor.name: tuple(tensor.shape) for tensor in reader.tensors}
    assert shapes["blk.0.ffn_down.weight.in_sum2"] == (288, 1)
    assert shapes["blk.0.ffn_down.weight.counts"] == (1, 1)


def test_what_is_none(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(NotImportance, match="in_sum2"):
        load(tiny)
    (tmp_path / "old.dat").write_bytes(b"\x01\x00\x00\x00" * 20)
    with pytest.raises(NotImportance):
        load(tmp_path / "old.dat")


def test_of_another_model(measured: Importance) -> None:
    with pytest.raises(ImportanceMismatch, match="128 columns there and 256 here"):
        measured.weights("blk.0.attn_q.weight", (128, 256))
    assert measured.weights("blk.9.attn_q.weight", (128, 256)) is None


def test_experts_each_by_what_went_to_it() -> None:
    """Tokens choose two of three experts; the third is told as unseen and weighs all columns alike."""
    watch = Watch(["blk.0.ffn_up_exps.weight"], products=True)
    numbers = np.random.default_rng(0).normal(size=(1, 5, 1, 32)).astype(np.float32)
    ids = np.array([[0, 1], [1, 0], [0, 1], [1, 0], [0, 1]], np.int32)[None, None]
    watch._routed("blk.0.ffn_up_exps.weight", numbers, ids, 3)
    found = watch.all()["blk.0.ffn_up_exps.weight"]
    assert found.counts.tolist() == [5, 5, 0]
    assert np.allclose(found.sums[0], (numbers[0, :, 0] ** 2).sum(axis=0))
    assert (found.means[2] == 1).all()
    importance = Importance({"blk.0.ffn_up_exps.weight": found})
    assert importance.unseen() == ["blk.0.ffn_up_exps.weight"]
    weights = importance.weights("blk.0.ffn_up_exps.weight", (3, 8, 32))
    assert weights is not None
    assert weights.shape == (3, 32)


def test_one_row_for_all_experts() -> None:
    columns = Columns(np.ones((1, 32), np.float32), np.ones(1, np.float32))
    assert Importance({"x": columns}).weights("x", (4, 8, 32)) is not None
    with pytest.raises(ImportanceMismatch):
        Importance({"x": Columns(np.ones((3, 32), np.float32), np.ones(3, np.float32))}).weights("x", (4, 8, 32))
