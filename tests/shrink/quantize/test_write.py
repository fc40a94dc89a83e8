from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from penjing.errors import DiskFull, SettingError
from penjing.files import shutil as files_shutil
from penjing.probe import model as probe
from penjing.progress import Progress
from penjing.shrink.quantize import AlreadyQuantized, Mix, quantize
from tiny_model import Shape, write_tiny_gguf

SHAPE = Shape(layers=4, width=256, heads=4, kv_heads=2, feed_forward=288)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("shrink") / "tiny.gguf", SHAPE)


def weights(path: Path) -> dict[str, np.ndarray]:
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}


@pytest.mark.parametrize(("bits", "label", "error"), [(8, "Q8_0", 0.01), (4, "Q4_K_M", 0.10), (16, "F16", 1e-3)])
def test_close_to_the_source(source: Path, tmp_path: Path, bits: int, label: str, error: float) -> None:
    done = quantize(source, tmp_path / "small.gguf", bits)
    before, after = weights(source), weights(tmp_path / "small.gguf")
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert np.sqrt(np.mean((after[name] - value) ** 2)) <= error * np.sqrt(np.mean(value**2)), name
    assert (tmp_path / "small.gguf").stat().st_size < source.stat().st_size
    found = probe.read(tmp_path / "small.gguf")
    assert done.label == label
    assert found.quantization == label
    assert found.bytes == done.bytes


def test_types_of_the_mix(source: Path, tmp_path: Path) -> None:
    done = quantize(source, tmp_path / "small.gguf", 4)
    types = {tensor.name: tensor.type for tensor in probe.read(tmp_path / "small.gguf").tensors}
    assert types["token_embd.weight"] == "Q6_K"  # it is the head too
    assert types["blk.0.attn_q.weight"] == "Q4_K"
    assert types["blk.0.attn_norm.weight"] == "F32"
    assert types["blk.0.attn_v.weight"] == "Q4_K"
    assert types["blk.2.attn_v.weight"] == types["blk.3.attn_v.weight"] == "Q6_K"
    assert types["blk.0.ffn_down.weight"] == "Q5_0"  # 288 is no multiple of 256
    assert types["blk.3.ffn_down.weight"] == "Q8_0"
    assert done.fallbacks == {f"blk.{layer}.ffn_down.weight": ("Q8_0" if layer > 1 else "Q5_0") for layer in range(4)}
    assert sum(done.types.values()) == len(types)


def test_untied_embedding_is_not_the_head() -> None:
    mix = Mix(4, 32, tied=False)
    assert mix.choose("token_embd.weight", (1000, 256)) == "Q4_K"
    assert mix.choose("output.weight", (1000, 256)) == "Q6_K"
    assert mix.choose("blk.1.ffn_gate_inp.weight", (8, 256)) == "F32"
    assert mix.choose("blk.9.attn_qkv.weight", (8, 256)) == "Q5_K"
    assert mix.choose("odd.weight", (8, 33)) == "F16"


def test_everything_else_in_the_file_stays(source: Path, tmp_path: Path) -> None:
    quantize(source, tmp_path / "small.gguf", 8)
    before, after = gguf.GGUFReader(source), gguf.GGUFReader(tmp_path / "small.gguf")
    kept = [key for key in before.fields if not key.startswith("GGUF.") and key != "general.file_type"]
    assert kept
    for key in kept:
        assert after.fields[key].contents() == before.fields[key].contents(), key


def test_numbers_beyond_f16_become_bf16(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "big.gguf", "llama")
    big = np.full((4, 32), 1e6, np.float32)
    writer.add_tensor("blk.0.attn_q.weight", big)
    writer.add_tensor("blk.0.attn_k.weight", np.ones((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    quantize(tmp_path / "big.gguf", tmp_path / "f16.gguf", 16)
    types = {tensor.name: tensor.type for tensor in probe.read(tmp_path / "f16.gguf").tensors}
    assert types == {"blk.0.attn_q.weight": "BF16", "blk.0.attn_k.weight": "F16"}
    back = weights(tmp_path / "f16.gguf")
    assert np.allclose(back["blk.0.attn_q.weight"], big, rtol=1e-2)
    assert (back["blk.0.attn_k.weight"] == 1).all()


def test_shards_become_one_file(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "part", "llama", split_max_tensors=2)
    values = {f"blk.{layer}.attn_q.weight": np.full((4, 32), layer, np.float32) for layer in range(5)}
    for name, value in values.items():
        writer.add_tensor(name, value)
    writer.add_block_count(5)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    shards = sorted(tmp_path.glob("*.gguf"))
    assert len(shards) == 3
    model = probe.read(shards[2])
    assert model.files == tuple(shards)
    assert model.metadata["split.tensors.count"] == 5
    quantize(shards[0], tmp_path / "one.gguf", 8)
    made = weights(tmp_path / "one.gguf")
    assert all(np.allclose(made[name], value, rtol=1e-2) for name, value in values.items())
    assert not any(key.startswith("split.") for key in probe.read(tmp_path / "one.gguf").metadata)


def test_not_twice(source: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.gguf"
    quantize(source, small, 8)
    with pytest.raises(AlreadyQuantized, match="Q8_0"):
        quantize(small, tmp_path / "smaller.gguf", 4)
    assert [path.name for path in tmp_path.iterdir()] == ["small.gguf"]


def test_other_numbers_of_bits(source: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="2, 3, 4, 5, 6, 8, 16 or 32"):
        quantize(source, tmp_path / "x.gguf", 7)
    with pytest.raises(SettingError, match="Q4_K_M"):
        quantize(source, tmp_path / "x.gguf", "Q4_M")


def test_progress_and_cancel(source: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    quantize(source, tmp_path / "a.gguf", 8, report=seen.append)
    assert [p.fraction for p in seen] == sorted(p.fraction for p in seen)
    assert seen[-1].fraction == 1.0
    assert {p.stage for p in seen} == {"quantizing"}

    def stop(progress: Progress) -> None:
        if progress.fraction > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(source, tmp_path / "b.gguf", 8, report=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gguf"]


def test_full_disk_is_told_before_the_first_byte(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = files_shutil._ntuple_diskusage(1000, 900, 100)  # type: ignore[attr-defined]
    monkeypatch.setattr(files_shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DiskFull):
        quantize(source, tmp_path / "a.gguf", 8)
    assert list(tmp_path.iterdir()) == []
