"""A checkpoint's tensors under the decoder's names, as float32: fused ones cut apart, paired rotations turned into
halves, Gemma's norms made whole.

Does not know: how they are computed with.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from penjing.export.decoder.faults import DecoderWeightUnknown
from penjing.export.decoder.model import Decoder
from penjing.export.decoder.shape import Shape
from penjing.export.decoder.shape import read as read_shape
from penjing.export.gguf.convert import IGNORED, plain
from penjing.probe import checkpoint
from penjing.probe.faults import TensorMissing, TensorShape
from penjing.progress import Progress, Report
from penjing.shrink.rows import DTYPES, Rows

LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)")
ENDS = {
    "model.embed_tokens.weight": "embedding.weight",
    "model.norm.weight": "norm.weight",
    "lm_head.weight": "head.weight",
    "lm_head.bias": "head.bias",
}
NAMES_SHOWN = 4


def load(folder: Path, context: int = 0, *, rows: int = 0, report: Report | None = None) -> Decoder:
    """The checkpoint in `folder` as a decoder in float32, in evaluation mode. `context` (tokens) is what it will be
    used for, 0 for what it was trained for before its rotation was stretched; with `rows`, rotations are tables of so
    many positions. Raises NoDecoder, DecoderOption, TensorMissing, DecoderWeightUnknown, ModelCorrupt, and what
    `report` raises."""
    shape, config = read_shape(folder)
    tensors = read(folder, shape, report)
    if config.tied or "head.weight" not in tensors:
        if config.values.get("tie_word_embeddings") is False:
            raise TensorMissing(path=str(folder), names="lm_head.weight")
        tensors["head.weight"] = tensors["embedding.weight"]
    vocabulary = tensors["embedding.weight"].shape[0]
    with torch.device("meta"):
        decoder = Decoder(shape, vocabulary, tensors.keys(), folder, context or shape.original, rows)
    wanted = decoder.state_dict()
    _require_all(folder, shape, wanted, tensors)
    decoder.load_state_dict(tensors, assign=True)
    decoder.tied = tensors["head.weight"] is tensors["embedding.weight"]
    decoder.eval().requires_grad_(False)
    return decoder


def read(folder: Path, shape: Shape, report: Report | None = None) -> dict[str, Tensor]:
    """The decoder's names to numbers. Raises as `load`."""
    model = checkpoint.read(folder)
    found: dict[str, Tensor] = {}
    for done, tensor in enumerate(model.tensors):
        if report is not None:
            report(Progress(done / len(model.tensors), "reading"))
        if IGNORED.search(tensor.name):
            continue
        name = _name(plain(tensor.name), shape)
        if name is None or not tensor.shape or tensor.type not in DTYPES:
            raise DecoderWeightUnknown(path=str(folder), tensor=tensor.name, architecture=shape.architecture)
        rows = tensor.shape[0] if len(tensor.shape) > 1 else 1
        values = Rows(folder / tensor.file, tensor)(0, rows).reshape(tensor.shape)
        for part, cut in _parts(name, values, shape).items():
            found[part] = torch.from_numpy(np.ascontiguousarray(cut, np.float32))
    return found


def _name(name: str, shape: Shape) -> str | None:
    """The decoder's name for a tensor of a text model; None for what it does not have."""
    if name in ENDS:
        return ENDS[name]
    match = LAYER.fullmatch(name)
    known = shape.kind.names.get(match[2]) if match else None
    return f"layers.{match[1]}.{known}.{match[3]}" if match and known else None


def _parts(name: str, values: NDArray[np.float32], shape: Shape) -> dict[str, NDArray[np.float32]]:
    """What becomes of one tensor."""
    head, _, suffix = name.rpartition(".")
    prefix, _, last = head.rpartition(".")
    queries, keys = shape.heads * shape.head, shape.kv_heads * shape.head
    if last == "qkv":
        cut = np.split(values, [queries, queries + keys])
        return {f"{prefix}.{part}.{suffix}": each for part, each in zip("qkv", cut, strict=True)}
    if last == "gate_up":
        cut = np.split(values, 2)
        return {f"{prefix}.{part}.{suffix}": each for part, each in zip(("gate", "up"), cut, strict=True)}
    if shape.kind.shift and values.ndim == 1 and suffix == "weight":
        return {name: values + np.float32(shape.kind.shift)}
    if shape.kind.paired and last in ("q", "k") and prefix.endswith("attention"):
        return {name: values[_halves(len(values) // shape.head, shape)]}
    return {name: values}


def _halves(heads: int, shape: Shape) -> NDArray[np.intp]:
    """The order of rows in which neighbours that turn together lie half a rotation apart; scores stay the same, since
    queries and keys change places alike."""
    turned = np.arange(shape.rotated)
    order = np.concatenate((turned[0::2], turned[1::2], np.arange(shape.rotated, shape.head)))
    return (np.arange(heads)[:, None] * shape.head + order[None, :]).reshape(-1)


def _require_all(folder: Path, shape: Shape, wanted: dict[str, Tensor], tensors: dict[str, Tensor]) -> None:
    """Raises TensorMissing, DecoderWeightUnknown, TensorShape."""
    missing = sorted(wanted.keys() - tensors.keys())
    if missing:
        shown = ", ".join(missing[:NAMES_SHOWN]) + (" ..." if len(missing) > NAMES_SHOWN else "")
        raise TensorMissing(path=str(folder), names=shown)
    for name, values in tensors.items():
        if name not in wanted:
            raise DecoderWeightUnknown(path=str(folder), tensor=name, architecture=shape.architecture)
        if values.shape != wanted[name].shape:
            facts = {"shape": list(values.shape), "wanted": list(wanted[name].shape)}
            raise TensorShape(path=str(folder), tensor=name, **facts)
