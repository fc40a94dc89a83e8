"""Models elsewhere: what their headers say is what the same file here says, and next to nothing is moved for it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from model_hub import Hub, Repository, serving
from penjing.errors import ModelCorrupt, PenjingError
from penjing.plan.layers import Layer, layers
from penjing.probe import model, remote
from penjing.probe.faults import NoWeights
from penjing.sources.source import Listing, listing
from tiny_model import split_gguf, write_tiny_gguf

WORDS = 150_000
LIMIT = 2_000_000


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving({}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def offered(hub: Hub, files: dict[str, bytes], **more: object) -> Listing:
    hub.repositories["o/r"] = Repository(files, **more)  # type: ignore[arg-type]
    return listing("hf:o/r")


def vocabulary(kind: str) -> list[str]:
    """As long and as uneven as real ones are: short pieces first, long runs among them."""
    chance = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz"
    lead = "▁" if kind == "llama" else "Ġ"
    words = [chr(33 + number % 90) for number in range(256)]
    while len(words) < WORDS:
        word = "".join(chance.choices(letters, k=chance.randint(1, 2 + len(words) * 12 // WORDS)))
        words.append(
            chance.choice((lead, "", "")) + chance.choice((word, word, "你好世界", "=" * 64, "www.example.com"))
        )
    return words


def write_long(path: Path, kind: str, layers: int = 24) -> Path:
    """A GGUF with a vocabulary of real length, in the order llama.cpp's converter writes entries."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("long")
    writer.add_context_length(4096)
    writer.add_embedding_length(64)
    writer.add_block_count(layers)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    words = vocabulary(kind)
    writer.add_tokenizer_model(kind)
    writer.add_token_list(words)
    if kind == "llama":
        writer.add_token_scores([-float(number) for number in range(WORDS)])
    writer.add_token_types([1 + number % 6 for number in range(WORDS)])
    if kind == "gpt2":
        writer.add_token_merges([f"{words[number]} {words[-number]}" for number in range(WORDS)])
    if kind == "t5":
        writer.add_array("tokenizer.ggml.precompiled_charsmap", bytes(range(256)) * 900)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for message in messages %}{{ message.content }}{% endfor %}" * 80)
    writer.add_quantization_version(2)
    writer.add_file_type(7)
    for layer in range(layers):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"):
            rows = 32 if part in ("attn_k", "attn_v") else 64
            writer.add_tensor(f"blk.{layer}.{part}.weight", np.ones((rows, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5", "bert"])
def test_a_long_vocabulary_is_leapt_over(hub: Hub, tmp_path: Path, kind: str) -> None:
    path = write_long(tmp_path / "m-Q8_0.gguf", kind)
    found = remote.read(offered(hub, {path.name: path.read_bytes()}))
    here = model.read(path)
    assert found.tensors == here.tensors
    assert found.metadata == here.metadata
    assert found.vocabulary == WORDS
    assert (found.bytes, found.parameters, found.layers) == (here.bytes, here.parameters, here.layers)
    header = path.stat().st_size - here.bytes
    assert hub.moved < LIMIT < header, f"{hub.moved} of a header of {header}"


def test_a_small_model_in_shards(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    write_tiny_gguf(tmp_path / "tiny.gguf")
    split_gguf(tmp_path / "tiny.gguf", folder, 3)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    found = remote.read(offered(hub, files))
    here = model.read(folder / "tiny-00001-of-00003.gguf")
    assert (found.bytes, found.parameters, len(found.tensors)) == (here.bytes, here.parameters, len(here.tensors))
    assert found.metadata == here.metadata


def test_a_checkpoint_in_shards(hub: Hub, guide_folder: Path) -> None:
    names = ("config.json", "model.safetensors", "chat_template.jinja", "tokenizer.json")
    found = remote.read(offered(hub, {name: (guide_folder / name).read_bytes() for name in names}))
    here = model.read(guide_folder)
    if here.format != "safetensors":
        pytest.skip("this copy of the guide has no checkpoint")
    assert found.tensors == here.tensors
    assert (found.architecture, found.layers, found.kv_heads) == (here.architecture, here.layers, here.kv_heads)
    assert (found.context, found.vocabulary, found.chat_template) == (here.context, here.vocabulary, here.chat_template)
    assert hub.moved < 100_000


@pytest.fixture
def guide_folder() -> Path:
    from penjing.store.resolve import guide

    return guide().parent


def shard(tensors: int, number: int) -> tuple[bytes, int]:
    """A safetensors file of many small experts; and the bytes of its tensors."""
    header, at = {}, 0
    for expert in range(tensors):
        name = f"model.layers.{number}.mlp.experts.{expert}.down_proj.weight_with_a_name_of_usual_length"
        header[name] = {"dtype": "BF16", "shape": [4, 4], "data_offsets": [at, at + 32]}
        at += 32
    page = json.dumps(header).encode()
    return len(page).to_bytes(8, "little") + page + bytes(at), at


def test_thousands_of_experts_are_counted_without_their_headers(hub: Hub) -> None:
    files: dict[str, bytes] = {
        "config.json": b'{"model_type": "qwen3_moe", "num_hidden_layers": 12, "num_experts": 128}'
    }
    total = 0
    for number in range(12):
        content, size = shard(2000, number)
        files[f"model-{number + 1:05}-of-00012.safetensors"] = content
        total += size
    found = remote.read(offered(hub, files, parameters={"BF16": total // 2}))
    assert sum(len(content) for content in files.values()) - total > LIMIT
    assert (found.bytes, found.parameters, found.quantization) == (total, total // 2, "BF16")
    assert (found.tensors, found.experts, found.layers) == ((), 128, 12)
    assert hub.moved < LIMIT
    without = remote.read(offered(hub, files))
    assert (without.bytes, without.parameters) == (total, total // 2)


def test_what_is_damaged_there_is_said_to_be_so(hub: Hub, tmp_path: Path) -> None:
    content = write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    with pytest.raises(ModelCorrupt, match="cut short"):
        remote.read(offered(hub, {"m-F32.gguf": content[:-100]}))
    with pytest.raises(ModelCorrupt, match="number of tensors"):
        remote.read(offered(hub, {"m-F32.gguf": content[:8] + b"\xff" * 8 + content[16:]}))
    with pytest.raises(PenjingError):
        remote.read(offered(hub, {"m-F32.gguf": b""}))
    with pytest.raises(ModelCorrupt):
        remote.read(offered(hub, {"config.json": b"{}", "model.safetensors": b"\x08\0\0\0\0\0\0\0notjson!"}))
    with pytest.raises(ModelCorrupt):
        remote.read(offered(hub, {"config.json": b"no json", "model.safetensors": shard(8, 0)[0]}))


def test_what_is_no_model(hub: Hub) -> None:
    with pytest.raises(NoWeights):
        remote.read(offered(hub, {"README.md": b"hello"}))
    with pytest.raises(NoWeights):
        remote.read(offered(hub, {"model.safetensors": shard(8, 0)[0]}))


def test_a_vocabulary_of_noise_is_not_leapt_over(hub: Hub, tmp_path: Path) -> None:
    path = write_long(tmp_path / "m-Q8_0.gguf", "gpt2", layers=1)
    content = bytearray(path.read_bytes())
    at = content.index(b"tokenizer.ggml.merges") + 21 + 4 + 4 + 8
    content[at : at + 4_000_000] = random.Random(1).randbytes(4_000_000)
    with pytest.raises(ModelCorrupt, match="merges"):
        remote.read(offered(hub, {path.name: bytes(content)}))


def test_windows_latent_attention_and_experts(hub: Hub, tmp_path: Path) -> None:
    """Of a GGUF elsewhere and of a checkpoint's settings: what layers remember, and how many experts there are."""
    for architecture, entries, config, wanted in KINDS:
        path = tmp_path / f"{architecture}.gguf"
        writer = gguf.GGUFWriter(path, architecture)
        for key, value in {"block_count": 6, "embedding_length": 64, "attention.head_count": 4, **entries}.items():
            add = writer.add_array if isinstance(value, list) else writer.add_uint32
            add(f"{architecture}.{key}", value)
        writer.add_token_list(vocabulary("gpt2"))
        for layer in range(6):
            writer.add_tensor(f"blk.{layer}.attn_q.weight", np.ones((64, 64), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        before = hub.moved
        found = remote.read(offered(hub, {path.name: path.read_bytes()}))
        assert hub.moved - before < LIMIT
        assert (found.experts, layers(found)) == wanted
        assert found.metadata == model.read(path).metadata
        settings = {"num_hidden_layers": 6, "hidden_size": 64, "num_attention_heads": 4, **config}
        files = {"config.json": json.dumps(settings).encode(), "model.safetensors": shard(8, 0)[0]}
        found = remote.read(offered(hub, files))
        assert (found.experts, layers(found)) == wanted


KINDS: list[tuple[str, dict[str, Any], dict[str, Any], tuple[int, dict[Layer, int]]]] = [
    (
        "gemma3",
        {"attention.head_count_kv": 2, "attention.key_length": 16, "attention.value_length": 16}
        | {"attention.sliding_window": 512},
        {"model_type": "gemma3_text", "num_key_value_heads": 2, "head_dim": 16, "sliding_window": 512},
        (0, {Layer(32, 32, 512): 5, Layer(32, 32): 1}),
    ),
    (
        "deepseek2",
        {"attention.head_count_kv": 1, "attention.kv_lora_rank": 32, "rope.dimension_count": 8}
        | {"attention.key_length_mla": 24, "attention.key_length": 40, "attention.value_length": 32}
        | {"expert_count": 64, "expert_used_count": 6},
        {"model_type": "deepseek_v2", "num_key_value_heads": 4, "kv_lora_rank": 32, "qk_rope_head_dim": 8}
        | {"n_routed_experts": 64, "num_experts_per_tok": 6},
        (64, {Layer(40, 0): 6}),
    ),
    (
        "qwen3moe",
        {"attention.head_count_kv": 2, "attention.key_length": 16, "attention.value_length": 16}
        | {"expert_count": 128, "expert_used_count": 8},
        {"model_type": "qwen3_moe", "num_key_value_heads": 2, "head_dim": 16, "num_experts": 128},
        (128, {Layer(32, 32): 6}),
    ),
    (
        "gpt-oss",
        {"attention.head_count_kv": 2, "attention.key_length": 16, "attention.value_length": 16}
        | {"attention.sliding_window": 128, "expert_count": 32},
        {"model_type": "gpt_oss", "num_key_value_heads": 2, "head_dim": 16, "num_local_experts": 32}
        | {"sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"] * 3},
        (32, {Layer(32, 32, 128): 3, Layer(32, 32): 3}),
    ),
]
