"""A model file that admits a longer context than it was trained for.

llama.cpp's server caps every conversation at the context length in the file's header, whatever the rope scale, and
the library's Python door offers no override. So the file is copied once into the cache (on btrfs, xfs and apfs a
copy that shares its blocks) with that one number changed.

Does not know: whether the model is still any good at that length.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from penjing.errors import ModelUnsupported
from penjing.files import require_room, writing
from penjing.probe import gguf
from penjing.store import cached


class NotStretchable(ModelUnsupported):
    """Facts: `path`, `key`."""

    template = "{path} cannot be given a longer context: --rope-scale needs a single file with {key} in its header."
    hint = "Leave --rope-scale out, or merge the shards first (llama-gguf-split --merge)."


NUMBER = 4
"""Bytes of the header's context length: an unsigned 32-bit integer, the last thing of its entry."""


def stretched(path: Path, context: int) -> Path:
    """The copy of the GGUF at `path` whose header says `context` tokens; made when it is not there yet.

    Raises ModelUnsupported for a header without that entry or a file in shards, DiskFull.
    """
    header = gguf.read(path)
    key = f"{header.metadata.get('general.architecture')}.context_length"
    if key not in header.spans or int(str(header.metadata.get("split.count", 1))) > 1:
        raise NotStretchable(path=str(path), key=key)
    place = header.spans[key][1] - NUMBER
    facts = path.stat()
    target = cached.folders()[1] / f"{path.stem}-{facts.st_size}-{facts.st_mtime_ns}-{context}.gguf"
    if not target.exists():
        require_room(target.parent, facts.st_size)
        with cached.noted(target, path), path.open("rb") as source, writing(target) as stream:
            copy(source, stream, facts.st_size)
            stream.seek(place)
            stream.write(context.to_bytes(NUMBER, "little"))
    return target


def copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    """All `size` bytes, by the kernel (which may share blocks) where it can."""
    done = 0
    if hasattr(os, "copy_file_range"):
        try:
            while done < size:
                step = os.copy_file_range(source.fileno(), target.fileno(), size - done, done, done)
                if step == 0:
                    break
                done += step
        except OSError as error:
            if done or error.errno == errno.ENOSPC:  # other refusals mean: this file system cannot, copy by hand
                raise
    source.seek(done)
    target.seek(done)
    shutil.copyfileobj(source, target, 1 << 20)
