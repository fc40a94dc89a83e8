"""Rows for new tokens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from penjing.probe import checkpoint, safetensors
from penjing.shrink.ggml import from_bits, to_bf16
from penjing.shrink.rows import Rows
from penjing.shrink.vocabulary import tables
from penjing.shrink.vocabulary.faults import NoTableOfRows
from tiny_checkpoint import CONFIG, tensors, write_checkpoint, write_safetensors, write_sharded

LEAVES = [[1, 2], [3], [0, 5, 7]]
ROWS = int(CONFIG["vocab_size"])


def numbers(folder: Path, name: str) -> np.ndarray:
    tensor = next(each for each in checkpoint.read(folder).tensors if each.name == name)
    return Rows(folder / tensor.file, tensor)(0, tensor.shape[0] if len(tensor.shape) > 1 else 1)


def grown(source: Path, folder: Path, first: int = ROWS) -> Path:
    folder.mkdir()
    tables.grow(checkpoint.read(source), folder, first, LEAVES)
    return folder


@pytest.mark.parametrize("write", [write_checkpoint, write_sharded])
def test_new_rows_are_means_and_all_else_stays(tmp_path: Path, write: object) -> None:
    source = write(tmp_path / "old")  # type: ignore[operator]  # one of two functions of a path
    folder = grown(source, tmp_path / "new")
    for name, old in tensors().items():
        new = numbers(folder, name).reshape(-1, *old.shape[1:]) if old.ndim > 1 else numbers(folder, name)[0]
        assert (new[: old.shape[0]] == old).all()
        if name in ("model.embed_tokens.weight", "lm_head.weight"):
            assert new.shape == (ROWS + len(LEAVES), old.shape[1])
            assert np.allclose(new[ROWS:], [old[each].mean(axis=0) for each in LEAVES], atol=1e-6)
        else:
            assert new.shape == old.shape
    model = checkpoint.read(folder)
    assert model.vocabulary == ROWS + len(LEAVES)
    assert tables.bytes_of(checkpoint.read(source), ROWS, len(LEAVES)) == model.bytes


def test_rows_kept_in_reserve_are_used(tmp_path: Path) -> None:
    folder = grown(write_checkpoint(tmp_path / "old"), tmp_path / "new", first=ROWS - 5)
    old, new = tensors()["lm_head.weight"], numbers(folder, "lm_head.weight")
    assert new.shape == old.shape
    assert (new[: ROWS - 5] == old[: ROWS - 5]).all()
    assert (new[-2:] == old[-2:]).all()
    assert np.allclose(new[ROWS - 4], old[3])
    assert json.loads((folder / "config.json").read_text())["vocab_size"] == ROWS


def test_bfloat16_and_a_bias(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "old")
    coded = {name: to_bf16(value) for name, value in tensors().items()}
    coded["lm_head.bias"] = to_bf16(np.arange(ROWS, dtype=np.float32))
    write_safetensors(source / "model.safetensors", coded)
    folder = grown(source, tmp_path / "new")
    stored = from_bits(coded["lm_head.weight"], "BF16")
    means = from_bits(to_bf16(np.stack([stored[each].mean(axis=0) for each in LEAVES])), "BF16")
    assert (numbers(folder, "lm_head.weight")[ROWS:] == means).all()
    assert list(numbers(folder, "lm_head.bias")[0][ROWS:]) == [1.5, 3.0, 4.0]
    assert {each.type for each in safetensors.read(folder / "model.safetensors")} == {"BF16"}


def test_a_model_without_an_embedding_known_by_name(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "old")
    renamed = {name.replace("embed_tokens", "other").replace("lm_head", "top"): v for name, v in tensors().items()}
    write_safetensors(source / "model.safetensors", renamed)
    with pytest.raises(NoTableOfRows, match=str(ROWS)):
        tables.tables(checkpoint.read(source))
