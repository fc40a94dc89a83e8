"""A model and the updates that people make of it, for benches of how many bytes an update moves.

The weights are random, no two rows alike, and quantized by ggml's own functions as `Q4_K_M` does it (Q6_K for the
embeddings, the output, and the values and down projections of every second layer), weighted by an importance matrix:
what changes in a file, and what does not, is what changes in a real one.

    metadata      another chat template and name            lora    rank 16 merged into attention, every layer
    last layers   four layers trained on                     imatrix quantized again with other importances
    vocabulary    64 words appended

Does not know: what is measured.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penjing.probe import gguf
from penjing.probe.ggml import NUMBERS, row_bytes
from penjing.shrink.container import Container, Info, Value, pack
from penjing.shrink.ggml import quantizer

LAST, WORDS, RANK = 4, 64, 16
ROWS = 256
"""Rows that are drawn and quantized at a time."""
STEP = 0.02
"""How far training moves a weight, in standard deviations."""


@dataclass(frozen=True)
class Shape:
    """TinyLlama 1.1B; `heads` of keys and values in numbers of 64."""

    layers: int = 22
    width: int = 2048
    keys: int = 256
    feed_forward: int = 5632
    words: int = 32000


@dataclass(frozen=True)
class Revision:
    """What differs from the first version."""

    name: str = "first"
    template: str = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant: "
    merged: bool = False
    trained: bool = False
    importance: int = 1
    words: int = 0

    def stands(self, tensor: str, layers: int) -> bool:
        """Whether a tensor's numbers are those of the first version, before they are quantized."""
        return not (self.merged and ".attn_" in tensor) and not (self.trained and layer_of(tensor) >= layers - LAST)

    def shares(self, tensor: str, layers: int) -> bool:
        """Whether its bytes are."""
        return self.stands(tensor, layers) and (self.importance == FIRST.importance or layer_of(tensor) < 0)


def layer_of(tensor: str) -> int:
    """Of the embeddings and the output -1."""
    return int(tensor.split(".")[1]) if tensor.startswith("blk.") else -1


FIRST = Revision()
UPDATES = {
    "metadata": replace(FIRST, name="metadata", template="<|system|>{{ system }}\n" + FIRST.template * 2),
    "lora": replace(FIRST, name="lora", merged=True),
    "last layers": replace(FIRST, name="last layers", trained=True),
    "imatrix": replace(FIRST, name="imatrix", importance=2),
    "vocabulary": replace(FIRST, name="vocabulary", words=WORDS),
}


def write(revision: Revision, shape: Shape, path: Path, first: Path | None = None) -> Path:
    """The file of one revision; written where there is none. What it shares with the `first` version is taken from
    there."""
    if path.exists():
        return path
    known = {tensor.name: tensor for tensor in gguf.read(first).tensors} if first is not None else {}
    infos = list(tensors(shape, revision))
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as stream, ThreadPoolExecutor(os.cpu_count()) as pool:
        container = Container(stream, pack(metadata(shape, revision)), infos)
        for info in infos:
            begin = 0
            if first is not None and revision.shares(info.name, shape.layers):
                begin = min(info.rows, known[info.name].shape[0] if len(info.shape) > 1 else 1)
                container.put(_bytes(first, known[info.name].offset, begin * row_bytes(info.type, info.shape[-1])))
            for piece in pool.map(partial(rows_of, info, shape, revision), range(begin, info.rows, ROWS)):
                container.put(piece)
            container.end()
    return unfinished.rename(path)


def _bytes(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(offset)
        return stream.read(size)


def metadata(shape: Shape, revision: Revision) -> Mapping[str, Value]:
    """The header: a vocabulary is most of it."""
    words = shape.words + revision.words
    draw = np.random.default_rng(7)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    tokens = ["▁" + "".join(draw.choice(letters, size=2 + number % 9)) + str(number) for number in range(words)]
    return {
        "general.architecture": "llama",
        "general.name": revision.name,
        "llama.block_count": shape.layers,
        "llama.embedding_length": shape.width,
        "llama.feed_forward_length": shape.feed_forward,
        "llama.vocab_size": words,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [-float(number) for number in range(words)],
        "tokenizer.ggml.token_type": [1] * words,
        "tokenizer.chat_template": revision.template,
    }


def tensors(shape: Shape, revision: Revision) -> Iterator[Info]:
    """All of them, in the file's order."""
    words = shape.words + revision.words
    yield Info("token_embd.weight", (words, shape.width), "Q6_K")
    yield Info("output_norm.weight", (shape.width,), "F32")
    yield Info("output.weight", (words, shape.width), "Q6_K")
    for layer in range(shape.layers):
        better = "Q6_K" if layer % 2 else "Q4_K"
        parts = {
            "attn_norm": ((shape.width,), "F32"),
            "attn_q": ((shape.width, shape.width), "Q4_K"),
            "attn_k": ((shape.keys, shape.width), "Q4_K"),
            "attn_v": ((shape.keys, shape.width), better),
            "attn_output": ((shape.width, shape.width), "Q4_K"),
            "ffn_norm": ((shape.width,), "F32"),
            "ffn_gate": ((shape.feed_forward, shape.width), "Q4_K"),
            "ffn_up": ((shape.feed_forward, shape.width), "Q4_K"),
            "ffn_down": ((shape.width, shape.feed_forward), better),
        }
        for name, (dimensions, kind) in parts.items():
            yield Info(f"blk.{layer}.{name}.weight", dimensions, kind)


def rows_of(info: Info, shape: Shape, revision: Revision, row: int) -> bytes:
    """ROWS rows of a tensor from `row` on, as the file has them."""
    width, count = info.shape[-1], min(ROWS, info.rows - row)
    seed = zlib.crc32(info.name.encode())
    numbers = np.random.default_rng([seed, row]).standard_normal((ROWS, width), dtype=np.float32)[:count]
    if not revision.stands(info.name, shape.layers):
        numbers = numbers + trained(info, row, numbers, revision)
    if info.type == "F32":
        return numbers.tobytes()
    coded = np.empty((count, row_bytes(info.type, width)), np.uint8)
    importance = np.random.default_rng([seed, revision.importance]).gamma(0.5, 1.0, width).astype(np.float32) + 0.01
    numbers = np.ascontiguousarray(numbers)
    wanted = (
        importance.ctypes.data if layer_of(info.name) >= 0 else None
    )  # llama.cpp has none for embeddings and output
    quantizer(NUMBERS[info.type])(NUMBERS[info.type], numbers.ctypes.data, coded.ctypes.data, 0, count, width, wanted)
    return coded.tobytes()


def trained(info: Info, row: int, numbers: NDArray[np.float32], revision: Revision) -> NDArray[np.float32]:
    """What training added: of a merged adapter a product of two narrow matrices, else a little everywhere."""
    draw = np.random.default_rng([zlib.crc32(info.name.encode()), row, 99])
    if not revision.merged or numbers.ndim < 2 or info.type == "F32":
        return STEP * draw.standard_normal(numbers.shape, dtype=np.float32) * (not revision.merged)
    wide = np.random.default_rng([zlib.crc32(info.name.encode()), 98])
    down = wide.standard_normal((RANK, numbers.shape[1]), dtype=np.float32)
    up = draw.standard_normal((numbers.shape[0], RANK), dtype=np.float32)
    return STEP * (up @ down) / np.float32(RANK**0.5)
