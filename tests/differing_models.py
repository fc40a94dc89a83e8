"""Models that differ in a known way, for tests of what versions share."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

Tensors = dict[str, np.ndarray]


def tensors(seed: int = 0, count: int = 6, rows: int = 320, columns: int = 1024) -> Tensors:
    """Random f32 tensors of 1.3 MB each, with a small one between."""
    random = np.random.default_rng(seed)
    found: Tensors = {}
    for number in range(count):
        found[f"blk.{number}.weight"] = random.standard_normal((rows, columns), np.float32)
        found[f"blk.{number}.norm"] = random.standard_normal((7,), np.float32)
    return found


def write_gguf(path: Path, weights: Tensors, template: str = "{{ messages }}", vocabulary: int = 4000) -> Path:
    """A GGUF that is no language model, but has everything that is cut."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("test")
    writer.add_token_list([f"token-{number}" for number in range(vocabulary)])
    writer.add_chat_template(template)
    for name, value in weights.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def changed(weights: Tensors, *names: str) -> Tensors:
    """A copy with other numbers in some tensors."""
    random = np.random.default_rng(99)
    return {
        name: random.standard_normal(value.shape, np.float32) if name in names else value
        for name, value in weights.items()
    }
