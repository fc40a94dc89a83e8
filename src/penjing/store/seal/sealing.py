"""A plain file becomes a sealed one.

Does not know: what opens it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from penjing.files import require_room, writing
from penjing.probe import gguf
from penjing.progress import Progress, Report
from penjing.store.seal import form
from penjing.store.seal.faults import ManyFiles, SealedAlready
from penjing.store.seal.form import CHUNK, ID, KEY, TAG, Cipher, Header, Slot

SUFFIX = ".sealed"
GGUF = b"GGUF"
MakeSlot = Callable[[bytes, bytes], Slot]
"""From the file key and the file's id to a slot."""


def seal(
    source: Path,
    target: Path,
    ways: tuple[MakeSlot, ...],
    *,
    cipher: Cipher = "aes-256-gcm",
    chunk: int = CHUNK,
    report: Report | None = None,
) -> Header:
    """Write `source` to `target`, sealed, so that each of `ways` opens it; whole or not at all. Raises ManyFiles,
    SealedAlready, ModelCorrupt for a GGUF that is damaged, DiskFull; `report` cancels by raising."""
    if not source.is_file():
        raise ManyFiles(path=str(source))
    if form.is_sealed(source):
        raise SealedAlready(path=str(source))
    size = source.stat().st_size
    id, file_key = os.urandom(ID), os.urandom(KEY)
    header = Header(
        cipher=cipher,
        id=id,
        name=source.name,
        size=size,
        head=head(source),
        chunk=chunk,
        slots=tuple(make(file_key, id) for make in ways),
    )
    require_room(target.parent, size + header.count * TAG)
    box = form.cipher(header, file_key)
    with source.open("rb") as stream, writing(target) as sink:
        sink.write(form.written(header, file_key))
        for index in range(header.count):
            plain = stream.read(header.length(index))
            sink.write(box.encrypt(form.nonce(header, index), plain, form.bound(header, index)))
            if report is not None:
                report(Progress((index + 1) / header.count, "sealing"))
    return header


def head(path: Path) -> int:
    """How many bytes of the file hold a GGUF's header; 0 for another kind of file. Raises ModelCorrupt, ManyFiles for
    one of several shards."""
    with path.open("rb") as stream:
        if stream.read(len(GGUF)) != GGUF:
            return 0
    header = gguf.read(path)
    if int(str(header.metadata.get("split.count", 1))) > 1:
        raise ManyFiles(path=str(path))
    return min((tensor.offset for tensor in header.tensors), default=path.stat().st_size)
