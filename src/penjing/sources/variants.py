"""The models that a list of files holds: each quantization with its shards, or a checkpoint.

Labels are read from the names of files, as people who publish GGUF files write them (`NAME-Q4_K_M.gguf`,
`NAME.i1-IQ2_XS.gguf`, `UD-Q4_K_XL/NAME-00001-of-00003.gguf`).

Does not know: what the files hold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from penjing.sources.faults import NoSuchQuantization
from penjing.sources.source import Listing, RemoteFile

SHARD = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.(?P<kind>gguf|safetensors)")
LABEL = re.compile(
    r"(?<![A-Za-z0-9])(?P<label>(?:UD-)?(?:I?Q[1-8](?:_[A-Z0-9]+)*|TQ[12]_0|BF16|FP?16|FP?32|MXFP4(?:_MOE)?|NVFP4))"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
BESIDE = re.compile(r"(^|[-._/])(mmproj|imatrix|mtp|draft)([-._]|$)", re.IGNORECASE)
"""Names of `.gguf` files that work beside a model and are none."""
SAME = {"FP16": "F16", "FP32": "F32"}
CHECKPOINT = "safetensors"
PAGES = (".json", ".jinja", ".model", ".txt", ".tiktoken")
"""What a checkpoint needs besides its weights: settings, tokenizer, template. Programs are not among them."""


@dataclass(frozen=True)
class Variant:
    """`label` is a quantization in upper case (`Q4_K_M`), the file's stem where its name has none, or `safetensors`.
    `files` are all that it needs, the first shard first; `beside` are helpers such as a vision projector."""

    label: str
    kind: Literal["gguf", "safetensors"]
    files: tuple[RemoteFile, ...]
    beside: tuple[RemoteFile, ...] = ()

    @property
    def bytes(self) -> int:
        """Of its weights: what must be in memory."""
        return sum(file.bytes for file in self.files if file.path.endswith((".gguf", ".safetensors")))

    @property
    def total(self) -> int:
        """Bytes to download."""
        return sum(file.bytes for file in (*self.files, *self.beside))


def variants(listing: Listing) -> tuple[Variant, ...]:
    """Every model of the listing, the smallest first; of shards only whole sets."""
    groups: dict[str, list[RemoteFile]] = {}
    beside = []
    for file in sorted(listing.files, key=lambda file: file.path):
        if not file.path.lower().endswith(".gguf"):
            continue
        if BESIDE.search(file.path):
            beside.append(file)
            continue
        shard = SHARD.fullmatch(file.path)
        groups.setdefault(f"{shard['stem']} {shard['count']}" if shard else file.path, []).append(file)
    projector = _projector(beside)
    found = [
        Variant(label(files[0].path), "gguf", tuple(files), projector) for files in groups.values() if _whole(files)
    ]
    checkpoint = _checkpoint(listing)
    return (*sorted(found, key=lambda variant: variant.bytes), *checkpoint)


def label(path: str) -> str:
    """The quantization that a file's name or else its folder's says, else the name's stem.

    >>> label("UD-Q4_K_XL/Qwen3-235B-UD-Q4_K_XL-00001-of-00003.gguf"), label("ggml-model-f16.gguf"), label("guide.gguf")
    ('UD-Q4_K_XL', 'F16', 'guide')
    """
    folder, _, name = path.rpartition("/")
    shard = SHARD.fullmatch(name)
    stem = shard["stem"] if shard else name.rpartition(".")[0]
    for text in (stem, folder):
        found = [match["label"].upper() for match in LABEL.finditer(text)]
        if found:
            return SAME.get(found[-1], found[-1])
    return stem


def pick(listing: Listing, wanted: str) -> Variant:
    """The variant that `wanted` names: a file, a quantization, or the end of a file's name before the label. Raises
    NoSuchQuantization."""
    known = variants(listing)
    for variant in known:
        if any(file.path == wanted for file in variant.files):
            return variant
    asked = SAME.get(wanted.upper(), wanted.upper())
    named = [variant for variant in known if variant.label.upper() == asked]
    named = named or [variant for variant in known if variant.label.upper() == f"UD-{asked}"]
    if len(named) == 1:
        return named[0]
    if not named and wanted:
        lone = listing.file(wanted)
        if lone is not None:
            return Variant(label(wanted), "gguf" if wanted.endswith(".gguf") else "safetensors", (lone,))
    shown = [variant.files[0].path for variant in named] or [variant.label for variant in known]
    raise NoSuchQuantization(place=str(listing.reference.place), pick=wanted, known=", ".join(shown) or "-")


def _whole(files: list[RemoteFile]) -> bool:
    shard = SHARD.fullmatch(files[0].path)
    return not shard or len(files) == int(shard["count"])


def _projector(beside: list[RemoteFile]) -> tuple[RemoteFile, ...]:
    """The vision part: of several precisions F16's (what llama.cpp's own downloads take), else the smallest."""
    found = [file for file in beside if "mmproj" in file.path.lower()]
    f16 = [file for file in found if label(file.path) == "F16"]
    return tuple((f16 or sorted(found, key=lambda file: file.bytes))[:1])


def _checkpoint(listing: Listing) -> tuple[Variant, ...]:
    """The files of a checkpoint at the repository's root; consolidated copies of the same weights are left out."""
    here = [file for file in listing.files if "/" not in file.path]
    weights = [file for file in here if file.path.endswith(".safetensors")]
    sharded = [file for file in weights if SHARD.fullmatch(file.path)]
    named = [file for file in weights if file.path == "model.safetensors"]
    weights = named or sharded or weights
    if not weights or not any(file.path == "config.json" for file in here) or not _whole(weights):
        return ()
    pages = [file for file in here if file.path.endswith(PAGES) and not file.path.startswith(".")]
    return (Variant(CHECKPOINT, "safetensors", (*weights, *pages)),)
