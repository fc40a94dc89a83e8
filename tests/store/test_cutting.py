"""Files are cut where versions differ."""

from __future__ import annotations

import itertools
import json
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from differing_models import changed, tensors, write_gguf
from penjing.store import chunks, cutting
from penjing.store.cutting import PIECE, cut
from penjing.store.index import Chunk


def of(path: Path) -> list[Chunk]:
    found, _ = chunks.of(path)
    assert sum(chunk.bytes for chunk in found) == path.stat().st_size
    return found


def moved(before: Path, after: Path) -> int:
    """Bytes of `after` that `before` has not."""
    return sum(chunk.bytes for chunk in set(of(after)) - set(of(before)))


def edges(path: Path) -> set[int]:
    return {0, *itertools.accumulate(cut(path))}


def test_a_gguf_is_cut_at_its_tensors(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "a.gguf", tensors(count=3))
    reader = gguf.GGUFReader(path)
    assert {int(tensor.data_offset) for tensor in reader.tensors} <= edges(path)


def test_a_longer_template_moves_only_itself(tmp_path: Path) -> None:
    before = write_gguf(tmp_path / "a.gguf", tensors())
    after = write_gguf(tmp_path / "b.gguf", tensors(), template="{# new #}" * 900)
    starts = [gguf.GGUFReader(path).tensors[0].data_offset for path in (before, after)]
    assert starts[0] != starts[1]  # every tensor lies elsewhere in the file
    assert moved(before, after) < 12_000


def test_a_changed_tensor_moves_only_itself(tmp_path: Path) -> None:
    before = write_gguf(tmp_path / "a.gguf", tensors())
    after = write_gguf(tmp_path / "b.gguf", changed(tensors(), "blk.3.weight"))
    assert moved(before, after) == 320 * 1024 * 4


def test_a_longer_vocabulary_moves_its_end(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    rows = random.standard_normal((3000, 1024), np.float32)
    before = write_gguf(tmp_path / "a.gguf", {"token_embd.weight": rows[:2900], **tensors(count=1)}, vocabulary=2900)
    after = write_gguf(tmp_path / "b.gguf", {"token_embd.weight": rows, **tensors(count=1)}, vocabulary=3000)
    assert 100 * 4096 < moved(before, after) <= PIECE + 60_000


def test_experts_are_cut_apart(tmp_path: Path) -> None:
    experts = np.random.default_rng(1).standard_normal((8, 100, 256), np.float32)
    before = write_gguf(tmp_path / "a.gguf", {"blk.0.ffn_up_exps.weight": experts})
    other = experts.copy()
    other[5] += 1
    after = write_gguf(tmp_path / "b.gguf", {"blk.0.ffn_up_exps.weight": other})
    assert moved(before, after) == 100 * 256 * 4


def write_safetensors(path: Path, weights: dict[str, np.ndarray], note: str = "") -> Path:
    header: dict[str, object] = {"__metadata__": {"note": note}}
    at = 0
    for name, value in weights.items():
        header[name] = {"dtype": "F32", "shape": value.shape, "data_offsets": [at, at + value.nbytes]}
        at += value.nbytes
    encoded = json.dumps(header).encode()
    content = b"".join(value.tobytes() for value in weights.values())
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + content)
    return path


def test_safetensors(tmp_path: Path) -> None:
    before = write_safetensors(tmp_path / "a.safetensors", tensors())
    after = write_safetensors(tmp_path / "b.safetensors", changed(tensors(), "blk.0.norm"), "a longer note" * 9)
    assert moved(before, after) < 12_000


def test_pieces_inside_a_large_tensor(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "a.gguf", {"blk.0.weight": np.zeros((3 * PIECE // 4096 + 1, 1024), np.float32)})
    sizes = cut(path)
    assert sizes[-3:] == [PIECE, PIECE, PIECE + 4096] or sizes[-4:] == [PIECE, PIECE, PIECE, 4096]


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF\x03\0\0\0" + b"\xff" * 16, b"\x09\0\0\0\0\0\0\0{", b"x"])
def test_any_file_can_be_cut(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    assert sum(cut(path)) == len(content)
    assert bool(cut(path)) == bool(content)


def test_no_region_is_left_out(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "a.gguf", tensors())
    at = 0
    for region in cutting.regions(path, path.stat().st_size):
        assert region.begin == at
        assert region.end > region.begin
        at = region.end
    assert at == path.stat().st_size


def test_words_appended_to_a_vocabulary_move_its_end_only(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    words = random.standard_normal((2 * PIECE // 4096 + 900, 1024), np.float32)
    more = np.concatenate([words, random.standard_normal((16, 1024), np.float32)])
    before = write_gguf(tmp_path / "a.gguf", {"token_embd.weight": words, "blk.0.weight": words[:800] + 1})
    after = write_gguf(tmp_path / "b.gguf", {"token_embd.weight": more, "blk.0.weight": words[:800] + 1})
    assert moved(before, after) < 16 * 4096 + 2 * cutting.LEAST_SLICE + 12_000
