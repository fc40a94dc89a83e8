"""The converter on a checkpoint made with numpy alone; its numbers against llama.cpp are in test_convert_families."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

import tiny_checkpoint
from penjing.errors import DiskFull, PenjingError
from penjing.export.gguf import convert, faults
from penjing.probe import model as probe
from penjing.probe.faults import DamagedHeader, TensorMissing, TensorShape, Truncated
from penjing.progress import Progress
from tiny_checkpoint import tensors, tokenizer, write_checkpoint, write_safetensors, write_sharded


def numbers(path: Path) -> dict[str, np.ndarray]:
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out" / "model.gguf"


def test_every_number_arrives(tmp_path: Path, target: Path) -> None:
    convert.convert(write_checkpoint(tmp_path / "tiny"), target, 32)
    source, made = tensors(), numbers(target)
    assert len(made) == len(source)
    assert np.array_equal(made["token_embd.weight"], source["model.embed_tokens.weight"])
    assert np.array_equal(made["output.weight"], source["lm_head.weight"])
    assert np.array_equal(made["blk.1.ffn_down.weight"], source["model.layers.1.mlp.down_proj.weight"])
    # llama.cpp turns neighbours: row 1 of a head is the first of the second half
    queries = source["model.layers.0.self_attn.q_proj.weight"]
    assert np.array_equal(made["blk.0.attn_q.weight"][:4], queries[[0, 8, 1, 9]])
    assert np.array_equal(made["blk.0.attn_q.weight"][16:18], queries[[16, 24]])


def test_shards_come_out_the_same(tmp_path: Path, target: Path) -> None:
    whole = tmp_path / "whole.gguf"
    convert.convert(write_checkpoint(tmp_path / "a" / "tiny"), whole, 8)
    convert.convert(write_sharded(tmp_path / "b" / "tiny"), target, 8)
    assert whole.read_bytes() == target.read_bytes()


@pytest.mark.parametrize(("dtype", "error"), [(np.float16, 1e-3), (np.uint16, 1e-2)])
def test_half_precision_sources(tmp_path: Path, target: Path, dtype: type, error: float) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    halves = {
        name: (value.view(np.uint32) >> 16).astype(np.uint16) if dtype is np.uint16 else value.astype(dtype)
        for name, value in tensors().items()
    }
    write_safetensors(folder / "model.safetensors", halves)
    convert.convert(folder, target, 32)
    assert np.allclose(numbers(target)["output.weight"], tensors()["lm_head.weight"], rtol=error, atol=1e-4)


@pytest.mark.parametrize(("bits", "label"), [(32, "F32"), (16, "F16"), (8, "Q8_0"), (4, "Q5_0")])
def test_bits(tmp_path: Path, target: Path, bits: int, label: str) -> None:
    done = convert.convert(write_checkpoint(tmp_path / "tiny"), target, bits)
    assert probe.read(target).quantization == label
    assert probe.read(target).bytes == done.bytes
    assert bool(done.fallbacks) == (bits == 4)


def test_metadata(tmp_path: Path, target: Path) -> None:
    convert.convert(write_checkpoint(tmp_path / "tiny"), target)
    model = probe.read(target)
    keys = model.metadata
    assert keys["llama.rope.dimension_count"] == 16
    assert keys["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-5)
    assert keys["tokenizer.ggml.pre"] == "gpt-2"
    assert keys["tokenizer.ggml.eos_token_id"] == 259
    assert keys["tokenizer.ggml.eot_token_id"] == 258
    assert keys["tokenizer.ggml.add_bos_token"] is False
    assert model.vocabulary == 264
    tokens = gguf.GGUFReader(target).fields["tokenizer.ggml.tokens"].contents()
    assert tokens[256:264] == ["he", *tiny_checkpoint.MARKS, "[PAD260]", "[PAD261]", "[PAD262]", "[PAD263]"]


def test_the_licence_of_the_card_goes_along(tmp_path: Path, target: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    assert "general.license" not in convert.plan(folder, 16).metadata
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-nd-4.0\n---\n# Tiny\n")
    convert.convert(folder, target)
    assert probe.read(target).metadata["general.license"] == "cc-by-nc-nd-4.0"


def test_tied(tmp_path: Path, target: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny", tie_word_embeddings=True)
    convert.convert(folder, target)
    assert "output.weight" not in numbers(target)
    rest = {name: value for name, value in tensors().items() if name != "lm_head.weight"}
    write_safetensors(folder / "model.safetensors", rest)
    convert.convert(folder, target)
    assert "output.weight" not in numbers(target)


@pytest.mark.parametrize(
    ("changes", "fault", "words"),
    [
        ({"architectures": ["Gpt9ForCausalLM"]}, faults.UnknownArchitecture, "Gpt9ForCausalLM"),
        ({"architectures": None}, faults.SettingMissing, "architectures"),
        ({"quantization_config": {"quant_method": "awq"}}, faults.QuantizedCheckpoint, "awq"),
        ({"hidden_act": "relu"}, faults.OptionUnsupported, "relu"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, faults.OptionUnsupported, "dynamic"),
        ({"rope_scaling": {"type": "linear", "factor": "two"}}, faults.OptionUnsupported, "factor"),
        ({"rope_scaling": {"rope_type": "longrope", "long_factor": [1]}}, faults.OptionUnsupported, "[8]"),
        ({"hidden_size": None}, faults.SettingMissing, "hidden_size"),
        ({"num_hidden_layers": 4_000_000_000}, DamagedHeader, "4000000000"),
        ({"rms_norm_eps": 1e300}, faults.SettingMissing, "rms_norm_eps"),
        ({"head_dim": 3}, faults.OptionUnsupported, "an even number"),
        ({"rope_scaling": {"type": "linear", "factor": 1e39}}, faults.OptionUnsupported, "factor"),
        ({"num_attention_heads": 8, "head_dim": 16}, TensorShape, "q_proj"),
        ({"num_hidden_layers": 3}, TensorMissing, "blk.2"),
        ({"num_hidden_layers": 1}, faults.TensorUnknown, "layers.1"),
    ],
)
def test_settings_that_cannot_be(
    tmp_path: Path, target: Path, changes: dict[str, Any], fault: type[PenjingError], words: str
) -> None:
    folder = write_checkpoint(tmp_path / "tiny", **changes)
    with pytest.raises(fault) as caught:
        convert.convert(folder, target)
    assert words in caught.value.message("en")
    assert caught.value.message("zh") != caught.value.message("en")
    assert not target.parent.exists()


def test_missing_and_foreign_tensors(tmp_path: Path, target: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    whole = tensors()
    rest = {name: value for name, value in whole.items() if "1.mlp.up_proj" not in name}
    write_safetensors(folder / "model.safetensors", rest)
    with pytest.raises(TensorMissing, match=r"blk\.1\.ffn_up\.weight"):
        convert.convert(folder, target)
    write_safetensors(
        folder / "model.safetensors", {**whole, "model.layers.0.memory.weight": np.ones((2, 2), np.float32)}
    )
    with pytest.raises(faults.TensorUnknown, match=r"memory\.weight"):
        convert.convert(folder, target)
    without_head = {name: value for name, value in whole.items() if name != "lm_head.weight"}
    write_safetensors(folder / "model.safetensors", without_head)
    with pytest.raises(TensorMissing, match=r"output\.weight"):
        convert.convert(folder, target)


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        (None, faults.TokenizerMissing),
        (tokenizer(pre_tokenizer={"type": "Whitespace"}), faults.UnknownPreTokenizer),
        (tokenizer(normalizer={"type": "Lowercase"}), faults.TokenizerUnsupported),
        (tokenizer(model={"type": "WordPiece", "vocab": {"a": 0}}), faults.TokenizerUnsupported),
        (tokenizer(model={"type": "BPE", "vocab": {}}), faults.TokenizerDamaged),
        (tokenizer(model={"type": "BPE", "vocab": {"a": 0, "b": 0}}), faults.TokenizerDamaged),
        (tokenizer(model={"type": "BPE", "vocab": {"a": 1 << 40}}), faults.TokenizerDamaged),
        (tokenizer(model={"type": "BPE", "vocab": {"a": 0}, "merges": [["a"]]}), faults.TokenizerDamaged),
        (tokenizer(added_tokens=[{"id": 999, "content": "far"}]), faults.TokenizerDamaged),
        (tokenizer(added_tokens=[{"id": 263, "content": "he"}]), faults.TokenizerDamaged),
        (tokenizer(added_tokens=[{"id": -1, "content": "low"}]), faults.TokenizerDamaged),
    ],
)
def test_tokenizers_that_cannot_be(
    tmp_path: Path, target: Path, page: dict[str, Any] | None, fault: type[PenjingError]
) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    (folder / "tokenizer.json").unlink() if page is None else (folder / "tokenizer.json").write_text(json.dumps(page))
    with pytest.raises(fault) as caught:
        convert.convert(folder, target)
    assert caught.value.message("zh")
    assert not target.parent.exists()


def test_damaged_weights(tmp_path: Path, target: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(Truncated, match="100 bytes are missing"):
        convert.convert(folder, target)
    weights.write_bytes(whole + b"more")
    with pytest.raises(DamagedHeader):
        convert.convert(folder, target)


def test_the_source_shrinks_in_mid_conversion(tmp_path: Path, target: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny")

    def cut(progress: Progress) -> None:
        with (folder / "model.safetensors").open("rb+") as stream:
            stream.truncate(1000)

    with pytest.raises(Truncated):
        convert.convert(folder, target, report=cut)
    assert list(target.parent.iterdir()) == []


def test_progress_and_cancel(tmp_path: Path, target: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    seen: list[Progress] = []
    convert.convert(folder, target, report=seen.append)
    assert [p.fraction for p in seen] == sorted(p.fraction for p in seen)
    assert (seen[-1].fraction, seen[-1].stage) == (1.0, "converting")

    def stop(progress: Progress) -> None:
        if progress.fraction > 0.5:
            raise KeyboardInterrupt

    before = target.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        convert.convert(folder, target, 8, report=stop)
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert target.read_bytes() == before


WITH_LITTLE_ROOM = """
import resource, signal, sys
from pathlib import Path
from penjing.errors import PenjingError
from penjing.export.gguf.convert import convert
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
except (PenjingError, OSError) as error:
    print(type(error).__name__)
"""


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path, target: Path) -> None:
    """The limit on a file's size (RLIMIT_FSIZE) stands for a disk that fills while the file is written."""
    folder = write_checkpoint(tmp_path / "tiny")
    command = [sys.executable, "-c", WITH_LITTLE_ROOM, str(folder), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "DiskFull", done.stderr
    assert list(target.parent.iterdir()) == []


def test_no_room_is_told_before_writing(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DiskFull, match="needed"):
        convert.convert(write_checkpoint(tmp_path / "tiny"), target)
    assert not target.parent.exists()


MEASURED = """
import re, sys
from pathlib import Path
from penjing.export.gguf.convert import convert

def peak():  # of this program alone; ru_maxrss also counts the parent before exec
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

small, large, target = map(Path, sys.argv[1:])
convert(small, target, 8)
before = peak()
convert(large, target, 8)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_model(tmp_path: Path, target: Path) -> None:
    small = write_checkpoint(tmp_path / "small")
    large = write_checkpoint(tmp_path / "large", intermediate_size=1 << 18)
    wide = np.zeros((1 << 18, 64), np.float32)
    changed = {name: wide for name in tensors() if "gate_proj" in name or "up_proj" in name}
    changed |= {name: wide.reshape(64, 1 << 18) for name in tensors() if "down_proj" in name}
    write_safetensors(large / "model.safetensors", {**tensors(), **changed})
    command = [sys.executable, "-c", MEASURED, str(small), str(large), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    grown = int(done.stdout) * 1024
    assert grown < wide.nbytes  # the largest of six tensors of that size
