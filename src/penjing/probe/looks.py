"""What a file is by its first bytes, whatever its name says.

Does not know: what follows the first bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from penjing.probe.faults import (
    CannotOpen,
    EmptyFile,
    HeaderCut,
    HtmlPage,
    LfsPointer,
    NotAModel,
    OldFormat,
    PickleFile,
    SealedFile,
    WrongByteOrder,
    ZipArchive,
)

START = 64
SEALED = b"PJSEAL\0"
"""How sealed files begin (`store.seal.form`)."""
OLD = {b"lmgg": "GGML", b"fmgg": "GGMF", b"tjgg": "GGJT", b"algg": "GGLA"}  # little-endian u32 magics


def look(path: Path) -> Literal["gguf", "safetensors"]:
    """The format of `path`. Raises NotAModel (or a kind of it that says what it is), EmptyFile, WrongByteOrder."""
    try:
        with path.open("rb") as stream:
            start = stream.read(START)
    except OSError as error:
        raise CannotOpen(path=str(path), detail=error.strerror) from error
    if start.startswith(b"GGUF"):
        return "gguf"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 32:
        return "safetensors"
    raise _fault(path, start)


def _fault(path: Path, start: bytes) -> Exception:
    name = str(path)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        return EmptyFile(path=name)
    if start.startswith(SEALED):
        return SealedFile(path=name)
    if start.startswith(b"FUGG"):
        return WrongByteOrder(path=name, order="big")
    if start in (b"G", b"GG", b"GGU"):
        return HeaderCut(path=name, size=len(start), missing=24 - len(start), word="the magic", name="")
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return HtmlPage(path=name)
    if text.startswith(b"version https://git-lfs"):
        return LfsPointer(path=name)
    if start.startswith(b"PK\x03\x04"):
        return ZipArchive(path=name)
    if len(start) > 2 and start[0] == 0x80 and start[1] in (2, 3, 4, 5):
        return PickleFile(path=name)
    if start[:4] in OLD:
        return OldFormat(path=name, format=OLD[start[:4]])
    return NotAModel(path=name, start=repr(start[:16]))
