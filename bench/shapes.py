"""Models of real shapes with random weights, for benches of what memory and time depend on: never on the numbers.

    python bench/shapes.py llama-7b Q4_0 FOLDER

A file has the tensors, types and vocabulary size of the model it stands for; its words are the guide's, with fillers.
One block of rows is quantized and repeated, so that seven billion weights are written in seconds.

Does not know: what is measured.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from penjing.native.library import function
from penjing.probe.ggml import NUMBERS, TYPES, row_bytes
from penjing.store.resolve import guide

ROWS = 32
"""Rows that are quantized; a tensor repeats them."""
WRITE = 64 << 20
FILE_TYPES = {"F32": gguf.LlamaFileType.ALL_F32} | {
    f"Q{bits}_K": gguf.LlamaFileType[f"MOSTLY_Q{bits}_K{mix}"] for bits, mix in ((3, "_M"), (4, "_M"), (5, "_M"))
}
"""`general.file_type` where it is not called as the tensors' type is."""
TILE = 256


@dataclass(frozen=True)
class Shape:
    """What a header says of a model; widths in numbers, `lora` and `rope` are those of compressed keys and values
    (`head` is then the part without positions), `window` in tokens, `dense` layers without experts at the start."""

    arch: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    feed_forward: int
    words: int
    context: int = 131072
    tied: bool = False
    window: int = 0
    experts: int = 0
    used: int = 0
    expert_width: int = 0
    dense: int = 0
    shared: int = 0
    lora: int = 0
    rope: int = 0
    value: int = 0
    more: dict[str, int] = field(default_factory=dict)


SHAPES = {
    "llama-7b": Shape("llama", 32, 4096, 32, 32, 128, 11008, 32000, context=4096),
    "llama-13b": Shape("llama", 40, 5120, 40, 40, 128, 13824, 32000, context=4096),
    "mistral-7b": Shape("llama", 32, 4096, 32, 8, 128, 14336, 32768, context=32768),
    "smollm2-135m": Shape("llama", 30, 576, 9, 3, 64, 1536, 49152, context=8192, tied=True),
    "smollm2-360m": Shape("llama", 32, 960, 15, 5, 64, 2560, 49152, context=8192, tied=True),
    "mini-3.8b": Shape("llama", 32, 3072, 32, 32, 96, 8192, 32064, context=4096),
    "llama-3.2-3b": Shape("llama", 28, 3072, 24, 8, 128, 8192, 128256, tied=True),
    "llama-3.2-1b": Shape("llama", 16, 2048, 32, 8, 64, 8192, 128256, tied=True),
    "qwen2.5-0.5b": Shape("qwen2", 24, 896, 14, 2, 64, 4864, 151936, context=32768, tied=True),
    "qwen2.5-3b": Shape("qwen2", 36, 2048, 16, 2, 128, 11008, 151936, context=32768, tied=True),
    "qwen3-1.7b": Shape("qwen3", 28, 2048, 16, 8, 128, 6144, 151936, context=40960, tied=True),
    "qwen3-4b": Shape("qwen3", 36, 2560, 32, 8, 128, 9728, 151936, context=40960, tied=True),
    "gemma3-1b": Shape("gemma3", 26, 1152, 4, 1, 256, 6912, 262144, context=32768, tied=True, window=512),
    "gemma3-4b": Shape("gemma3", 34, 2560, 8, 4, 256, 10240, 262144, tied=True, window=1024),
    "qwen3moe-3b": Shape(
        "qwen3moe", 12, 2048, 32, 4, 128, 6144, 151936, context=40960, experts=64, used=8, expert_width=768
    ),
    "deepseek-lite": Shape(
        "deepseek2", 27, 2048, 16, 16, 128, 10944, 102400, context=163840, experts=16, used=6, expert_width=1408,
        dense=1, shared=2, lora=512, rope=64, value=128,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Plain:
    """One tensor to be written: `shape` as in numpy, slowest dimension first."""

    name: str
    shape: tuple[int, ...]
    kind: str

    @property
    def rows(self) -> int:
        return int(np.prod(self.shape[:-1], dtype=np.int64))

    @property
    def bytes(self) -> int:
        return self.rows * row_bytes(self.kind, self.shape[-1])


def write(name: str, kind: str, folder: Path, *, hollow: bool = False) -> Path:
    """The file of shape `name` in ggml type `kind` under `folder`; written where there is none. A `hollow` one has a
    hole for each tensor: enough for whoever reads headers."""
    path = folder / f"{name}-{kind}{'-hollow' if hollow else ''}.gguf"
    if path.exists():
        return path
    shape, unfinished = SHAPES[name], path.with_suffix(".part")
    writer = gguf.GGUFWriter(unfinished, shape.arch)
    facts(writer, name, shape)
    writer.add_file_type(FILE_TYPES.get(kind) or gguf.LlamaFileType[f"MOSTLY_{kind}"])
    words(writer, shape.words)
    plain = [fitting(tensor) for tensor in tensors(shape, kind)]
    for tensor in plain:
        dtype = gguf.GGMLQuantizationType(NUMBERS[tensor.kind])
        coded = (*tensor.shape[:-1], row_bytes(tensor.kind, tensor.shape[-1]))
        quantized = tensor.kind not in ("F32", "F16")
        kept = np.dtype(np.uint8) if quantized else np.dtype(np.float32 if tensor.kind == "F32" else np.float16)
        writer.add_tensor_info(
            tensor.name, coded if quantized else tensor.shape, kept, tensor.bytes, dtype if quantized else None
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    file = writer.fout[0]
    writer.write_padding(file, file.tell())
    for tensor in plain:
        if hollow:
            file.truncate(file.seek(tensor.bytes, os.SEEK_CUR))
        else:
            file.writelines(pieces(tensor))
        writer.write_padding(file, tensor.bytes)
    writer.close()
    return unfinished.rename(path)


def fitting(tensor: Plain) -> Plain:
    """The tensor in a type whose blocks its rows have room for, as llama.cpp's quantizer falls back."""
    block = TYPES[NUMBERS[tensor.kind]][1]
    return tensor if tensor.shape[-1] % block == 0 else Plain(tensor.name, tensor.shape, "Q8_0")


def facts(writer: gguf.GGUFWriter, name: str, shape: Shape) -> None:
    """The header's numbers."""
    arch = shape.arch
    numbers = {
        "context_length": shape.context,
        "embedding_length": shape.width,
        "block_count": shape.layers,
        "feed_forward_length": shape.feed_forward,
        "attention.head_count": shape.heads,
        "attention.head_count_kv": 1 if shape.lora else shape.kv_heads,
        "attention.key_length": shape.lora + shape.rope if shape.lora else shape.head,
        "attention.value_length": shape.lora or shape.head,
        "attention.sliding_window": shape.window,
        "expert_count": shape.experts,
        "expert_used_count": shape.used,
        "expert_feed_forward_length": shape.expert_width,
        "expert_shared_count": shape.shared,
        "leading_dense_block_count": shape.dense,
        "attention.kv_lora_rank": shape.lora,
        "attention.key_length_mla": shape.head + shape.rope if shape.lora else 0,
        "attention.value_length_mla": shape.value,
        "rope.dimension_count": shape.rope or shape.head,
        **shape.more,
    }
    writer.add_name(name)
    for key, value in numbers.items():
        if value:
            writer.add_uint32(f"{arch}.{key}", value)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    if shape.shared:
        writer.add_float32(f"{arch}.expert_weights_scale", 1.0)


def words(writer: gguf.GGUFWriter, count: int) -> None:
    """The guide's tokenizer, filled up to `count` words."""
    reader = gguf.GGUFReader(guide())
    for name, entry in reader.fields.items():
        if not name.startswith("tokenizer."):
            continue
        value = entry.contents()
        if name == "tokenizer.ggml.tokens":
            value = [*value, *(f"<filler{number}>" for number in range(count - len(value)))]
        elif name == "tokenizer.ggml.token_type":
            value = [*value, *[int(gguf.TokenType.UNUSED)] * (count - len(value))]
        if isinstance(value, list):
            writer.add_array(name, value)
        else:
            writer.add_key_value(name, value, entry.types[0])


def tensors(shape: Shape, kind: str) -> Iterator[Plain]:
    """All tensors of a model."""
    yield Plain("token_embd.weight", (shape.words, shape.width), kind)
    yield Plain("output_norm.weight", (shape.width,), "F32")
    if not shape.tied:
        yield Plain("output.weight", (shape.words, shape.width), "Q6_K" if kind.endswith("_K") else kind)
    for layer in range(shape.layers):
        parts = {
            "attn_norm.weight": Plain("", (shape.width,), "F32"),
            "ffn_norm.weight": Plain("", (shape.width,), "F32"),
        }
        parts |= compressed(shape, kind) if shape.lora else attention(shape, kind)
        parts |= experts(shape, kind) if shape.experts and layer >= shape.dense else dense(shape, kind)
        for name, part in parts.items():
            yield Plain(f"blk.{layer}.{name}", part.shape, part.kind)


def attention(shape: Shape, kind: str) -> dict[str, Plain]:
    """Queries, keys, values, output, and what the architecture adds to them."""
    queries, keys, width = shape.heads * shape.head, shape.kv_heads * shape.head, shape.width
    found = {
        "attn_q.weight": Plain("", (queries, width), kind),
        "attn_k.weight": Plain("", (keys, width), kind),
        "attn_v.weight": Plain("", (keys, width), kind),
        "attn_output.weight": Plain("", (width, queries), kind),
    }
    if shape.arch == "qwen2":
        rows = {"q": queries, "k": keys, "v": keys}
        found |= {f"attn_{part}.bias": Plain("", (rows[part],), "F32") for part in "qkv"}
    if shape.arch in ("qwen3", "qwen3moe", "gemma3"):
        found |= {f"attn_{part}_norm.weight": Plain("", (shape.head,), "F32") for part in "qk"}
    if shape.arch == "gemma3":
        found |= {f"post_{part}_norm.weight": Plain("", (width,), "F32") for part in ("attention", "ffw")}
    return found


def compressed(shape: Shape, kind: str) -> dict[str, Plain]:
    """Keys and values in one narrow row (DeepSeek's MLA)."""
    return {
        "attn_q.weight": Plain("", (shape.heads * (shape.head + shape.rope), shape.width), kind),
        "attn_kv_a_mqa.weight": Plain("", (shape.lora + shape.rope, shape.width), kind),
        "attn_kv_a_norm.weight": Plain("", (shape.lora,), "F32"),
        "attn_k_b.weight": Plain("", (shape.heads, shape.lora, shape.head), "Q8_0"),
        "attn_v_b.weight": Plain("", (shape.heads, shape.value, shape.lora), kind),
        "attn_output.weight": Plain("", (shape.width, shape.heads * shape.value), kind),
    }


def dense(shape: Shape, kind: str) -> dict[str, Plain]:
    """A feed-forward part."""
    wide, width = shape.feed_forward, shape.width
    return {
        "ffn_gate.weight": Plain("", (wide, width), kind),
        "ffn_up.weight": Plain("", (wide, width), kind),
        "ffn_down.weight": Plain("", (width, wide), kind),
    }


def experts(shape: Shape, kind: str) -> dict[str, Plain]:
    """Many narrow ones, of which a token uses a few."""
    many, wide, width = shape.experts, shape.expert_width, shape.width
    found = {
        "ffn_gate_inp.weight": Plain("", (many, width), "F32"),
        "ffn_gate_exps.weight": Plain("", (many, wide, width), kind),
        "ffn_up_exps.weight": Plain("", (many, wide, width), kind),
        "ffn_down_exps.weight": Plain("", (many, width, wide), kind),
    }
    if shape.shared:
        wide *= shape.shared
        found |= {
            "ffn_gate_shexp.weight": Plain("", (wide, width), kind),
            "ffn_up_shexp.weight": Plain("", (wide, width), kind),
            "ffn_down_shexp.weight": Plain("", (width, wide), kind),
        }
    return found


def pieces(tensor: Plain) -> Iterator[bytes]:
    """The bytes of a tensor, a good deal at a time."""
    if len(tensor.shape) == 1:
        ones = np.ones(tensor.shape, np.float32)
        yield (ones if tensor.name.endswith("weight") else ones * 0).tobytes()
        return
    block = coded(tensor.kind, tensor.shape[-1])
    left, many = tensor.bytes, block * max(WRITE // len(block), 1)
    while left:
        yield many[:left]
        left -= min(left, len(many))


@cache
def coded(kind: str, width: int) -> bytes:
    """ROWS quantized rows of `width` random numbers."""
    numbers: NDArray[np.float32] = np.random.default_rng(0).standard_normal(ROWS * width, dtype=np.float32)
    numbers *= width**-0.5
    if kind == "F32":
        return numbers.tobytes()
    found = np.empty(ROWS * row_bytes(kind, width), np.uint8)
    function("ggml_quantize_init", None, ctypes.c_int)(NUMBERS[kind])
    quantize = function(
        "ggml_quantize_chunk", ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3,
        ctypes.c_void_p,
    )  # fmt: skip
    quantize(NUMBERS[kind], numbers.ctypes.data, found.ctypes.data, 0, ROWS, width, None)
    return found.tobytes()


if __name__ == "__main__":
    print(write(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
