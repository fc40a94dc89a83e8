"""The rows of a model that belong to tokens (the embedding, the head and its bias), with rows for new tokens: each the
mean of the rows of the tokens that it was spelled with.

Tensors go from file to file as they are; only new rows are computed. No torch.

Does not know: tokenizers.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from penjing.files import writing
from penjing.probe import checkpoint
from penjing.probe.facts import Model
from penjing.probe.tensor import Tensor
from penjing.progress import Progress, Report
from penjing.shrink.ggml import to_bf16
from penjing.shrink.rows import DTYPES, Rows
from penjing.shrink.vocabulary.faults import NoTableOfRows

NAMES = re.compile(r"(^|\.)(embed_tokens|lm_head|wte|embed_in|embed_out|word_embeddings)\.(weight|bias)$")
BLOCK = 8 << 20
ALIGNED = 8
"""Bytes that a safetensors header is padded to (the format's own writer does)."""

Leaves = Sequence[Sequence[int]]
"""For each new token in the order of their ids the ids of the old ones whose mean it gets."""


def tables(model: Model) -> tuple[Tensor, ...]:
    """The tensors with a row for each token. Raises NoTableOfRows."""
    found = tuple(each for each in model.tensors if NAMES.search(each.name) and each.type in DTYPES)
    rows = {each.shape[0] for each in found}
    if len(rows) != 1 or not any(len(each.shape) == 2 for each in found):
        raise NoTableOfRows(path=str(model.path), rows=model.vocabulary)
    return found


def grow(model: Model, folder: Path, first: int, leaves: Leaves, report: Report | None = None) -> None:
    """Write the weights of the checkpoint `model` into `folder`, their index and config.json too, with rows from id
    `first` on for the new tokens; rows that were kept in reserve there are used first. Raises NoTableOfRows."""
    mine = {each.name for each in tables(model)}
    written = 0
    for path in model.files:
        here = [each for each in model.tensors if each.file == path.name]
        if mine & {each.name for each in here}:
            _rewrite(path, folder / path.name, here, mine, first, leaves)
        else:
            shutil.copyfile(path, folder / path.name)
        written += path.stat().st_size
        if report is not None:
            report(Progress(written / max(sum(each.stat().st_size for each in model.files), 1), "writing"))
    rows = max(tables(model)[0].shape[0], first + len(leaves))
    _index(model, folder)
    _config(model, folder, rows)


def bytes_of(model: Model, first: int, count: int) -> int:
    """What the grown weights take."""
    more = sum(max(first + count - each.shape[0], 0) * (each.bytes // max(each.shape[0], 1)) for each in tables(model))
    return model.bytes + more


def _rewrite(source: Path, target: Path, tensors: Sequence[Tensor], mine: set[str], first: int, leaves: Leaves) -> None:
    with source.open("rb") as read, writing(target) as stream:
        (length,) = struct.unpack("<Q", read.read(8))
        header: dict[str, Any] = json.loads(read.read(length))
        offset = 0
        for tensor in tensors:
            shape = list(tensor.shape)
            if tensor.name in mine:
                shape[0] = max(shape[0], first + len(leaves))
            size = tensor.bytes // max(tensor.shape[0], 1) * shape[0] if tensor.name in mine else tensor.bytes
            header[tensor.name] = {**header[tensor.name], "shape": shape, "data_offsets": [offset, offset + size]}
            offset += size
        encoded = json.dumps(header, separators=(",", ":")).encode()
        encoded += b" " * (-(8 + len(encoded)) % ALIGNED)
        stream.write(struct.pack("<Q", len(encoded)) + encoded)
        for tensor in tensors:
            read.seek(tensor.offset)
            if tensor.name in mine:
                _table(read, stream, source, tensor, first, leaves)
            else:
                _copy(read, stream, tensor.bytes)


def _table(read: BinaryIO, stream: BinaryIO, source: Path, tensor: Tensor, first: int, leaves: Leaves) -> None:
    """Old rows as they are, new rows, and what was kept in reserve behind them."""
    row = tensor.bytes // tensor.shape[0]
    kept = min(first, tensor.shape[0])
    _copy(read, stream, kept * row)
    stream.write(_stored(means(source, tensor, leaves), tensor.type))
    behind = tensor.shape[0] - first - len(leaves)
    if behind > 0:
        read.seek(tensor.offset + (first + len(leaves)) * row)
        _copy(read, stream, behind * row)


def means(source: Path, tensor: Tensor, leaves: Leaves) -> NDArray[np.float32]:
    """f32 [new tokens, width] (a bias: [new tokens]): of each the mean of the rows of its leaves."""
    wanted = sorted({number for each in leaves for number in each})
    places = {number: place for place, number in enumerate(wanted)}
    if len(tensor.shape) == 1:
        rows = Rows(source, tensor)(0, 1)[0][wanted]
    else:
        read = Rows(source, tensor)
        rows = np.concatenate([read(number, number + 1) for number in wanted])
    return np.stack([rows[[places[number] for number in each]].mean(axis=0) for each in leaves])


def _stored(values: NDArray[np.float32], kind: str) -> bytes:
    values = np.ascontiguousarray(values, np.float32)
    return to_bf16(values).tobytes() if kind == "BF16" else values.astype(DTYPES[kind]).tobytes()


def _copy(read: BinaryIO, stream: BinaryIO, count: int) -> None:
    while count > 0:
        block = read.read(min(BLOCK, count))
        stream.write(block)
        count -= len(block)


def _index(model: Model, folder: Path) -> None:
    path = model.path / checkpoint.INDEX
    if not path.is_file():
        return
    content = checkpoint.load_json(path)
    sizes = sum((folder / each.name).stat().st_size for each in model.files)
    content["metadata"] = {**(content.get("metadata") or {}), "total_size": sizes}
    _page(folder / checkpoint.INDEX, content)


def _config(model: Model, folder: Path, rows: int) -> None:
    """The number of rows wherever config.json says it."""
    content = checkpoint.load_json(model.path / checkpoint.CONFIG)
    for part in (content, content.get("text_config")):
        if isinstance(part, dict) and "vocab_size" in part:
            part["vocab_size"] = rows
    _page(folder / checkpoint.CONFIG, content)


def _page(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
