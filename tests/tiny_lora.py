"""A real LoRA adapter in GGUF for the models of `tiny_model`, with random weights."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from tiny_model import Shape


def write_tiny_lora(
    path: Path, shape: Shape | None = None, *, rank: int = 4, scale: float = 1.0, seed: int = 7
) -> Path:
    """Write an adapter of the query projections of every layer; returns `path`."""
    shape = shape or Shape()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(rank))
    random = np.random.default_rng(seed)
    for layer in range(shape.layers):
        name = f"blk.{layer}.attn_q.weight"
        writer.add_tensor(f"{name}.lora_a", random.normal(0, scale, (rank, shape.width)).astype(np.float32))
        writer.add_tensor(f"{name}.lora_b", random.normal(0, scale, (shape.width, rank)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
