"""What gives a model eyes or ears: its projector (mmproj), named or found beside the model's file, and seen to fit.

    --mmproj FILE    that one
    --mmproj none    none, also where one lies beside the model
    (nothing)        beside the model's file: the one that came with it, or whose name says no other model's

Keys and tensors: llama.cpp tools/mtmd/clip-impl.h. Does not know: pictures, which engine computes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from penjing import manifest
from penjing.engines.llamacpp.options import NO_PROJECTOR
from penjing.errors import ModelCorrupt, ModelError, ModelNotFound, ModelUnsupported
from penjing.files import expanded
from penjing.probe import model as probe
from penjing.probe.facts import Model, count
from penjing.sources.variants import label

MARK = "mmproj"
"""How such files are named."""
KIND = "clip"
"""Their architecture."""
IDLE = {MARK, "model", "ggml", "gguf", "vision", "projector"}
"""Words of a file's name that say nothing of whose it is."""
PRECISION = re.compile(r"(bf|fp|f)?(16|32)|i?q\d\w*")
SPARE = 16 << 20
"""Bytes beside weights and attention while a picture is computed."""


class NotAProjector(ModelUnsupported):
    """Facts: `path`, `kind` (what it says it is)."""

    template = "{path} is no projector, which gives a model eyes or ears (it says: {kind})."
    hint = "Projectors are GGUF files of the architecture clip, mostly named mmproj-...: --mmproj FILE"
    code = "not_a_projector"


class NoSuchProjector(ModelNotFound):
    """Facts: `model` (what was named)."""

    template = "There is no projector '{model}' here."
    hint = "Give the .gguf file: --mmproj FILE, or --mmproj none"


class ProjectorOfAnother(ModelUnsupported):
    """Facts: `path`, `model`, `widths` (numbers that it makes of a piece of a picture), `width` (that the model
    reads)."""

    template = "The projector {path} belongs to another model: it makes {widths} numbers, and {model} reads {width}."
    hint = "Take the one that was published with this very model."
    code = "projector_of_another"


@dataclass(frozen=True)
class Projector:
    """`bytes` of weights, `compute` bytes while a picture is looked at (an estimate). `asked`: a person named it."""

    path: Path
    bytes: int
    compute: int
    vision: bool
    audio: bool
    asked: bool = False

    @property
    def total(self) -> int:
        """Bytes of memory that it takes."""
        return self.bytes + self.compute


def find(wanted: str | None, model: Model, near: Path | None = None) -> Projector | None:
    """The projector of `model`, as `--mmproj` wants it; `near` is the file that the model was made of, where that is
    another. Raises NoSuchProjector, NotAProjector, ProjectorOfAnother, ModelCorrupt for one that was named; what only
    lies there and does not fit is left alone."""
    if wanted == NO_PROJECTOR:
        return None
    if wanted is not None:
        path = expanded(wanted)
        if not path.is_file():
            raise NoSuchProjector(model=wanted)
        return _read(path, model, asked=True)
    lying = (_fitting(path, model) for path in beside(near or model.path))
    return next((found for found in lying if found is not None), None)


def _fitting(path: Path, model: Model) -> Projector | None:
    try:
        return _read(path, model, asked=False)
    except ModelError:
        return None


def beside(path: Path) -> list[Path]:
    """Projectors beside the model's file at `path` that may be its own, by their names: exact ones first (F16 before
    others, as llama.cpp's downloads do). Only the folder is read."""
    if path.suffix != ".gguf":
        return []
    try:
        names = sorted(each.name for each in path.parent.iterdir() if each.suffix == ".gguf")
    except OSError:
        return []
    found = [name for name in names if MARK in name.lower() and name != path.name]
    if found and not _together(path.parent):
        found = [name for name in found if words(name) <= words(path.name)]
    order = sorted(found, key=lambda name: (-len(words(name)), label(name) != "F16", name))
    return [path.parent / name for name in order]


def words(name: str) -> set[str]:
    """The words of a file's name that say whose it is.

    >>> sorted(words("mmproj-Qwen2-VL-7B-f16.gguf")), words("mmproj-model-f16.gguf")
    (['7b', 'qwen2', 'vl'], set())
    """
    parts = re.split(r"[^a-z0-9.]+", name.lower().removesuffix(".gguf"))
    return {part for part in parts if part and part not in IDLE and not PRECISION.fullmatch(part)}


def _together(folder: Path) -> bool:
    """Whether what is in it came together: a version of the store, or what penjing made."""
    return (folder / manifest.NAME).is_file()


def _read(path: Path, model: Model, *, asked: bool) -> Projector:
    found = probe.read(path)
    if found.architecture != KIND:
        raise NotAProjector(path=str(path), kind=found.architecture or found.format)
    audio = bool(found.metadata.get("clip.has_audio_encoder", False))
    if not (found.has_vision or audio):
        raise ModelCorrupt(path=str(path), detail="it has neither a vision nor an audio encoder")
    widths = _widths(found)
    if model.embedding not in widths:
        told = ", ".join(map(str, sorted(widths)))
        raise ProjectorOfAnother(path=str(path), model=model.name, widths=told, width=model.embedding)
    return Projector(path, found.bytes, _compute(found), found.has_vision, audio, asked)


def _widths(found: Model) -> set[int]:
    """Of what it makes of a piece: its header's, and those of the layers behind the encoder (old files say the
    encoder's own width in their header)."""
    told = {count(found.metadata, f"clip.{part}.projection_dim") for part in ("vision", "audio")}
    return {*told, *(side for each in found.tensors if each.name.startswith("mm.") for side in each.shape)} - {0}


def _compute(found: Model) -> int:
    """Attention and the widest layer of a picture of the size it was trained with, in float32."""
    facts = found.metadata
    patches = (count(facts, "clip.vision.image_size") // max(count(facts, "clip.vision.patch_size"), 1)) ** 2
    heads = count(facts, "clip.vision.attention.head_count")
    wide = count(facts, "clip.vision.feed_forward_length") + 4 * count(facts, "clip.vision.embedding_length")
    return 4 * patches * (patches * heads + wide) + SPARE
