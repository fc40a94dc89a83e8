"""A file's chunks: cut (`cutting`) and hashed, in one pass over the disk and on all cores.

Does not know: where chunks are kept.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from penjing.store.cutting import cut
from penjing.store.index import Chunk

MOST_THREADS = 8
AHEAD = 2
"""Chunks a thread that are read before they are hashed: with chunks of 4 MiB this bounds memory."""
BUFFER = 4 << 20


def of(path: Path, *, whole: bool = True, tell: Callable[[int], None] | None = None) -> tuple[list[Chunk], str]:
    """The chunks of `path`, and (with `whole`) the SHA-256 of all of it in hex, else "". `tell` hears how many bytes
    were read so far."""
    sizes = cut(path)
    sha = hashlib.sha256()
    chunks = []
    with path.open("rb", buffering=0) as stream:
        for digest, size in hashed(stream, sizes, sha.update if whole else None, tell):
            chunks.append(Chunk(digest, size))
    return chunks, sha.hexdigest() if whole else ""


def hashed(
    stream: BinaryIO,
    sizes: Iterable[int],
    also: Callable[[memoryview], None] | None = None,
    tell: Callable[[int], None] | None = None,
) -> Iterator[tuple[bytes, int]]:
    """SHA-256 and size of each of `sizes` next bytes of `stream`. `also` is called with the same bytes in their order,
    in a thread of its own. A stream that ends early gives the digest of what was there."""
    count = threads()
    waiting: deque[tuple[Future[bytes], Future[None] | None, bytearray, int]] = deque()
    spare: list[bytearray] = []
    read = 0
    with pool(count) as crowd, pool(1) as single:

        def first() -> tuple[bytes, int]:
            future, other, buffer, size = waiting.popleft()
            digest = future.result()
            if other is not None:
                other.result()
            spare.append(buffer)
            return digest, size

        for size in sizes:
            buffer = spare.pop() if spare else bytearray()
            if len(buffer) < size:
                buffer = bytearray(max(size, BUFFER))
            view = memoryview(buffer)[:size]
            got = fill(stream, view)
            read += got
            other = single.submit(also, view[:got]) if also is not None else None
            waiting.append((crowd.submit(sha256, view[:got]), other, buffer, size))
            if tell is not None:
                tell(read)
            if len(waiting) > count * AHEAD:
                yield first()
        while waiting:
            yield first()


def fill(stream: BinaryIO, view: memoryview) -> int:
    """Read until `view` is full or the stream ends; how many bytes there were."""
    at = 0
    while at < len(view):
        got = stream.readinto(view[at:])  # type: ignore[attr-defined]  # raw and buffered files have it
        if not got:
            break
        at += got
    return at


def sha256(view: memoryview) -> bytes:
    """SHA-256 of `view`; hashlib lets other threads run meanwhile."""
    return hashlib.sha256(view).digest()


def threads() -> int:
    """How many threads hash."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, MOST_THREADS))


@contextmanager
def pool(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that drop what has not begun when the block ends early."""
    crowd = ThreadPoolExecutor(count)
    try:
        yield crowd
    finally:
        crowd.shutdown(cancel_futures=True)
