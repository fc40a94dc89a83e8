"""What a model is, on disk beside it: `manifest.json`. Every hand-off between stations is one of these.

Does not know: how a model was made or where it is kept.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from penjing.errors import ModelCorrupt
from penjing.files import write_whole

NAME = "manifest.json"
BLOCK = 1 << 20


class File(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file of a model: its path relative to the manifest, size in bytes and SHA-256 in hex."""

    path: str
    bytes: int
    sha256: str


class Signature(msgspec.Struct, frozen=True):
    """`key`: the id of an Ed25519 key. `value`: base64 of the 64 bytes it made of a manifest without its signatures."""

    key: str
    value: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts (architecture, parameters, context ...), files, the parent it was made from (its manifest's SHA-256), the
    recipe that made it, the quality that was measured, who signed for all that (`store.trust.sign`)."""

    name: str
    version: str
    licence: str = ""
    facts: dict[str, object] = {}
    files: tuple[File, ...] = ()
    parent: str = ""
    recipe: dict[str, object] = {}
    quality: dict[str, object] = {}
    signatures: tuple[Signature, ...] = ()


def digest(path: Path) -> str:
    """SHA-256 of a file in hex, read in blocks of 1 MiB."""
    sha = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            sha.update(block)
    return sha.hexdigest()


def describe(path: Path, root: Path) -> File:
    """The `File` entry of `path`, named relative to `root`."""
    return File(path=path.relative_to(root).as_posix(), bytes=path.stat().st_size, sha256=digest(path))


def save(manifest: Manifest, folder: Path) -> Path:
    """Write `manifest.json` into `folder`, whole or not at all."""
    encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    return write_whole(folder / NAME, encoded + b"\n")


def load(folder: Path) -> Manifest:
    """Read `folder/manifest.json`. Raises ModelCorrupt where it is missing or not a manifest."""
    path = folder / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelCorrupt(path=str(path), detail=str(error)) from error


def changed(manifest: Manifest, folder: Path) -> list[str]:
    """The files that are missing or differ from what the manifest says, each as one sentence."""
    found = []
    for entry in manifest.files:
        path = folder / entry.path
        if not path.is_file():
            found.append(f"{entry.path} is missing")
        elif path.stat().st_size != entry.bytes:
            found.append(f"{entry.path} has {path.stat().st_size} bytes instead of {entry.bytes}")
        elif digest(path) != entry.sha256:
            found.append(f"{entry.path} has another SHA-256 than the manifest")
    return found
