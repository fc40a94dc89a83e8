from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from penjing.errors import DiskFull, SettingError
from penjing.files import shutil as files_shutil
from penjing.probe import model as probe
from penjing.progress import Progress
from penjing.shrink import container
from penjing.shrink.ggml import ImportanceMissing
from penjing.shrink.quantize import AlreadyQuantized, Mix, quantize
from penjing.shrink.quantize.faults import TensorUnknown, TypeUnknown
from penjing.shrink.quantize.importance import Columns, Importance
from penjing.shrink.rows import NotFinite
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


PRESET_TYPES = {  # llama-quant.cpp, `llama_tensor_get_type`: 16 layers, two heads of queries for one of keys
    "Q2_K": {"attn_v": "Q3_K", "ffn_down": "Q3_K", "attn_output": "Q3_K", "attn_q": "Q2_K", "ffn_up": "Q2_K"},
    "Q3_K_S": {"attn_v": "Q3_K", "ffn_down": "Q3_K", "attn_output": "Q3_K", "attn_q": "Q3_K"},
    "Q3_K_M": {"attn_v": "Q4_K", "ffn_down": "Q4_K", "attn_output": "Q4_K", "attn_q": "Q3_K"},
    "Q3_K_L": {"attn_v": "Q5_K", "ffn_down": "Q5_K", "attn_output": "Q5_K", "attn_q": "Q3_K"},
    "Q4_K_S": {"attn_v": "Q4_K", "ffn_down": "Q4_K", "attn_output": "Q4_K", "attn_q": "Q4_K"},
    "Q4_K_M": {"attn_v": "Q4_K", "ffn_down": "Q4_K", "attn_output": "Q4_K", "attn_q": "Q4_K"},
    "Q5_K_M": {"attn_v": "Q5_K", "ffn_down": "Q5_K", "attn_output": "Q5_K", "attn_q": "Q5_K"},
    "Q6_K": {"attn_v": "Q6_K", "ffn_down": "Q6_K", "attn_output": "Q6_K", "attn_q": "Q6_K"},
    "IQ3_M": {"attn_v": "Q4_K", "ffn_down": "IQ3_S", "attn_output": "Q4_K", "attn_q": "IQ3_S"},
    "IQ4_XS": {"attn_v": "IQ4_XS", "ffn_down": "IQ4_XS", "attn_output": "IQ4_XS", "attn_q": "IQ4_XS"},
}


@pytest.mark.parametrize("label", PRESET_TYPES)
def test_presets_are_those_of_llama_quantize(label: str) -> None:
    mix = Mix(label, 16, tied=True, shared=2, weighed=True)
    assert {role: mix.choose(f"blk.6.{role}.weight", (256, 256)) for role in PRESET_TYPES[label]} == PRESET_TYPES[label]
    assert mix.choose("token_embd.weight", (1000, 256)) == "Q6_K"


def test_presets_at_the_edges() -> None:
    def one(label: str, name: str, **more: Any) -> str:
        return Mix(label, 16, tied=False, **more).choose(name, (256, 256))

    assert one("Q3_K_M", "blk.1.attn_v.weight") == "Q5_K"
    assert one("Q3_K_M", "blk.0.ffn_down.weight") == "Q5_K"
    assert one("Q4_K_S", "blk.3.attn_v.weight") == "Q5_K"
    assert one("Q4_K_M", "blk.1.ffn_down.weight") == one("Q4_K_M", "blk.15.attn_v.weight") == "Q6_K"
    assert one("Q2_K", "blk.5.attn_v.weight", shared=4) == "Q4_K"
    assert one("IQ4_XS", "blk.5.attn_v.weight", shared=4) == "Q5_K"
    assert one("IQ4_XS", "blk.0.ffn_down.weight") == "Q5_K"
    assert one("IQ4_XS", "blk.0.ffn_down.weight", weighed=True) == "IQ4_XS"
    assert one("Q4_0", "blk.0.ffn_down.weight", weighed=True) == "Q4_1"
    assert one("Q4_K_M", "blk.0.ffn_norm.weight") == "F32"


def test_types_by_name(source: Path, tmp_path: Path) -> None:
    done = quantize(source, tmp_path / "a.gguf", {"blk.0.attn_q.weight": "Q2_K", "blk.1.ffn_down.weight": "Q3_K"})
    types = {tensor.name: tensor.type for tensor in probe.read(tmp_path / "a.gguf").tensors}
    assert types["blk.0.attn_q.weight"] == "Q2_K"
    assert types["blk.0.attn_k.weight"] == "F32"
    assert done.fallbacks == {"blk.1.ffn_down.weight": "Q4_0"}  # 288 is no multiple of 256
    with pytest.raises(TensorUnknown, match=r"blk\.9"):
        quantize(source, tmp_path / "b.gguf", {"blk.9.attn_q.weight": "Q2_K"})
    with pytest.raises(TypeUnknown, match="Q9"):
        quantize(source, tmp_path / "b.gguf", {"blk.0.attn_q.weight": "Q9"})
    with pytest.raises(ImportanceMissing, match="IQ2_XXS"):
        quantize(source, tmp_path / "b.gguf", {"blk.0.attn_q.weight": "IQ2_XXS"})
    assert [path.name for path in tmp_path.iterdir()] == ["a.gguf"]


def test_columns_that_matter_come_out_better(source: Path, tmp_path: Path) -> None:
    sums = np.ones((1, 256), np.float32)
    sums[0, ::4] = 1000  # some of each part of a block
    importance = Importance({"blk.0.attn_q.weight": Columns(sums, np.ones(1, np.float32))})
    quantize(source, tmp_path / "plain.gguf", "Q3_K_S")
    quantize(source, tmp_path / "ours.gguf", "Q3_K_S", importance=importance)
    before = weights(source)["blk.0.attn_q.weight"]
    plain, ours = (
        np.mean((weights(tmp_path / f"{name}.gguf")["blk.0.attn_q.weight"] - before)[:, ::4] ** 2)
        for name in ("plain", "ours")
    )
    assert ours < 0.9 * plain


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    writer = gguf.GGUFWriter(tmp_path / "bad.gguf", "llama")
    bad = np.ones((40, 64), np.float32)
    bad[33, 7] = value
    writer.add_tensor("blk.0.attn_q.weight", np.ones((40, 64), np.float32))
    writer.add_tensor("blk.0.attn_k.weight", bad)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(NotFinite, match=r"blk\.0\.attn_k\.weight has (nan|inf) in row 33, column 7"):
        quantize(tmp_path / "bad.gguf", tmp_path / "a.gguf", 8)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.gguf"]


def test_a_disk_that_fills_up_halfway(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = container.Container.put
    written = 0

    def put(self: container.Container, content: bytes) -> None:
        nonlocal written
        written += memoryview(content).nbytes
        if written > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, content)

    monkeypatch.setattr(container.Container, "put", put)
    with pytest.raises(DiskFull):
        quantize(source, tmp_path / "a.gguf", 8)
    assert list(tmp_path.iterdir()) == []
