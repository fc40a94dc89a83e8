"""A sealed file, opened: its chunks checked, decrypted by several threads, and put into memory or a file.

The library's ciphers hold Python's lock while they work, some 10 GB/s with AES instructions; reading and placing chunks
runs beside that in the other threads.

Does not know: who maps the memory, where keys come from.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.files import require_room, writing
from penjing.probe.faults import CannotOpen
from penjing.progress import Progress, Report
from penjing.store.seal import form, keys
from penjing.store.seal.faults import ChunkAltered, SealedCut
from penjing.store.seal.form import TAG, Sealed
from penjing.store.seal.guard import guard
from penjing.store.seal.keys import Ask, SealSettings
from penjing.store.seal.memory import Memory

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

THREADS = 4
"""More only wait for the same memory."""


@dataclass(frozen=True)
class Opened:
    """A sealed file and what decrypts it. Holds a secret: it is shown nowhere."""

    sealed: Sealed
    _file_key: bytes = field(repr=False)

    @property
    def path(self) -> Path:
        """The sealed file."""
        return self.sealed.path

    def memory(self, report: Report | None = None) -> Memory:
        """All of it. Raises ChunkAltered, SealedCut, NoMemoryFile, CannotOpen; `report` cancels by raising."""
        return self._placed(self.sealed.header.count, report)

    def head(self) -> Memory:
        """A file of the full size in which only a GGUF's header is filled in: enough to be probed. Raises as `memory`
        does."""
        header = self.sealed.header
        return self._placed(max(1, -(-header.head // header.chunk)), None)

    def write(self, target: Path, report: Report | None = None) -> None:
        """To disk, for everybody to read who may read `target`. Raises as `memory` does, and DiskFull."""
        require_room(target.parent, self.sealed.header.size)
        with writing(target) as stream:
            self._decrypt(stream.fileno(), self.sealed.header.count, report)

    def _placed(self, count: int, report: Report | None) -> Memory:
        guard()
        memory = Memory("penjing-sealed", self.sealed.header.size)
        try:
            self._decrypt(memory.descriptor, count, report)
            memory.finish(self.path.stat().st_mtime_ns, lock=count == self.sealed.header.count)
        except BaseException:
            memory.close()
            raise
        return memory

    def _decrypt(self, target: int, count: int, report: Report | None) -> None:
        """The first `count` chunks into the file `target`."""
        threads = max(1, min(THREADS, os.cpu_count() or 1, count))
        work = Work(self, target, count, report)
        with ThreadPoolExecutor(threads, thread_name_prefix="unseal") as pool:
            try:
                for done in [pool.submit(work.run) for _ in range(threads)]:
                    done.result()
            finally:
                work.stop.set()


class Work:
    """What the threads share: each takes the next chunk."""

    def __init__(self, opened: Opened, target: int, count: int, report: Report | None) -> None:
        self.sealed, self.target, self.count = opened.sealed, target, count
        self.stop = threading.Event()
        self._key = opened._file_key
        self._next = iter(range(count))
        self._turn = threading.Lock()
        self._report, self._done = report, 0

    def run(self) -> None:
        """Until all are taken or one failed."""
        header = self.sealed.header
        box = form.cipher(header, self._key)
        cipher, plain = memoryview(bytearray(header.chunk + TAG)), memoryview(bytearray(header.chunk))
        try:
            with self._source() as source:
                while (index := self._take()) is not None:
                    length = header.length(index)
                    self._read(source, index, cipher[: length + TAG])
                    self._open(box, index, cipher[: length + TAG], plain[:length])
                    self._place(index * header.chunk, plain[:length])
                    self._tell()
        finally:
            self.stop.set()

    def _source(self) -> FileIO:
        try:
            return self.sealed.path.open("rb", buffering=0)
        except OSError as error:
            raise CannotOpen(path=str(self.sealed.path), detail=error.strerror or str(error)) from error

    def _take(self) -> int | None:
        with self._turn:
            return None if self.stop.is_set() else next(self._next, None)

    def _read(self, source: FileIO, index: int, into: memoryview) -> None:
        at = source.seek(self.sealed.place(index))
        got = 0
        while got < len(into):
            try:
                step = source.readinto(into[got:])
            except OSError as error:  # the disk is failing
                raise CannotOpen(path=str(self.sealed.path), detail=error.strerror or str(error)) from error
            if not step:  # it was cut while it was read
                raise SealedCut(path=str(self.sealed.path), size=at + got, wanted=at + len(into))
            got += step

    def _open(self, box: AESGCM | ChaCha20Poly1305, index: int, cipher: memoryview, plain: memoryview) -> None:
        from cryptography.exceptions import InvalidTag

        header = self.sealed.header
        try:
            box.decrypt_into(form.nonce(header, index), cipher, form.bound(header, index), plain)
        except InvalidTag as error:
            begin = self.sealed.place(index)
            raise ChunkAltered(
                path=str(self.sealed.path), chunk=index + 1, count=header.count, begin=begin, end=begin + len(cipher)
            ) from error

    def _place(self, at: int, plain: memoryview) -> None:
        put = 0
        while put < len(plain):
            if hasattr(os, "pwrite"):
                put += os.pwrite(self.target, plain[put:], at + put)
            else:
                with self._turn:
                    os.lseek(self.target, at + put, os.SEEK_SET)
                    put += os.write(self.target, plain[put:])

    def _tell(self) -> None:
        if self._report is None:
            return
        with self._turn:
            self._done += 1
            self._report(Progress(self._done / self.count, "unsealing"))


def open_sealed(path: Path, means: SealSettings, ask: Ask | None = None) -> Opened:
    """Find the key and check the header. Raises NotSealed, SealDamaged, SealedCut, CannotOpen, and what `keys.file_key`
    raises."""
    try:
        sealed = form.read(path)
    except OSError as error:
        raise CannotOpen(path=str(path), detail=error.strerror or str(error)) from error
    return Opened(sealed, keys.file_key(sealed, means, ask))
