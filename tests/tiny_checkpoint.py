"""A tiny Llama checkpoint folder written with numpy alone: real shapes, random numbers, a byte-level tokenizer."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tiny_model import byte_letters

DTYPES = {"float32": "F32", "float16": "F16", "uint16": "BF16"}
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "vocab_size": 264,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "eos_token_id": 258,
}


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray]) -> Path:
    """Write `tensors` (uint16 stands for bfloat16's bits) as one .safetensors file."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, value in tensors.items():
        header[name] = {
            "dtype": DTYPES[value.dtype.name],
            "shape": list(value.shape),
            "data_offsets": [at, at + value.nbytes],
        }
        at += value.nbytes
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    content = b"".join(value.tobytes() for value in tensors.values())
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + content)
    return path


def tokenizer(**changes: Any) -> dict[str, Any]:
    """A parsed tokenizer.json: 256 bytes, one merge, GPT-2's way of splitting."""
    vocabulary = {letter: number for number, letter in enumerate([*byte_letters(), "he"])}
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    marks = [{"id": 257 + number, "content": mark, "special": True, **plain} for number, mark in enumerate(MARKS)]
    page = {
        "added_tokens": marks,
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [["h", "e"]]},
    }
    return {**page, **changes}


def tensors(config: Mapping[str, Any] = CONFIG, seed: int = 0) -> dict[str, np.ndarray]:
    """Random f32 weights under transformers' names."""
    random = np.random.default_rng(seed)
    width, inner, head = config["hidden_size"], config["intermediate_size"], 16
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (config["vocab_size"], width)}
    for layer in range(config["num_hidden_layers"]):
        block = f"model.layers.{layer}."
        shapes |= {
            block + "input_layernorm.weight": (width,),
            block + "self_attn.q_proj.weight": (queries, width),
            block + "self_attn.k_proj.weight": (keys, width),
            block + "self_attn.v_proj.weight": (keys, width),
            block + "self_attn.o_proj.weight": (width, queries),
            block + "post_attention_layernorm.weight": (width,),
            block + "mlp.gate_proj.weight": (inner, width),
            block + "mlp.up_proj.weight": (inner, width),
            block + "mlp.down_proj.weight": (width, inner),
        }
    shapes |= {"model.norm.weight": (width,), "lm_head.weight": (config["vocab_size"], width)}
    return {name: random.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}


def write_checkpoint(folder: Path, **changes: Any) -> Path:
    """Write the folder; `changes` go into config.json (None removes a setting). Returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {key: value for key, value in {**CONFIG, **changes}.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    settings = {"eos_token": "<|im_end|>", "chat_template": "{{ messages[0].content }}"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    write_safetensors(folder / "model.safetensors", tensors())
    return folder


def write_sharded(folder: Path) -> Path:
    """The same checkpoint in two shards with their index; returns `folder`."""
    write_checkpoint(folder)
    (folder / "model.safetensors").unlink()
    whole = list(tensors().items())
    halves = {"model-00001-of-00002.safetensors": whole[:9], "model-00002-of-00002.safetensors": whole[9:]}
    for name, part in halves.items():
        write_safetensors(folder / name, dict(part))
    weight_map = {key: name for name, part in halves.items() for key, _ in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder
