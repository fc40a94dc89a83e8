"""A sealed model as an engine needs it: settings from its header alone, then all of it in memory.

The memory is kept while a worker that ended by itself is started again, and let go when it is stopped.

Does not know: where the key came from, processes.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from penjing.engines.llamacpp.derive import Derived
from penjing.engines.llamacpp.options import EngineOptions
from penjing.engines.llamacpp.prepare import prepare
from penjing.errors import PenjingError
from penjing.progress import Report
from penjing.store.seal.faults import NotWhileSealed
from penjing.store.seal.memory import Memory
from penjing.store.seal.opening import Opened

TO_DISK, TWICE = "it would be written to disk unsealed.", "it would be in memory twice."


class Unsealed:
    """What `opened` holds, for one engine."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.memory: Memory | None = None

    @property
    def path(self) -> Path:
        """The sealed file."""
        return self.opened.path

    def prepare(self, name: str, options: EngineOptions, *, most: int = 0) -> Derived:
        """As `prepare.prepare`, without decrypting more than the model's header. Raises what that raises, and
        NotWhileSealed, ChunkAltered, NoMemoryFile."""
        require_possible(name, options)
        source = self.memory or self.opened.head()
        try:
            derived = prepare(source.path, name, options, held=self.memory.size if self.memory else 0, most=most)
        except PenjingError as error:
            if error.facts.get("path") != str(source.path):
                raise
            raise type(error)(**{**error.facts, "path": str(self.path)}) from error
        finally:
            if source is not self.memory:
                source.close()
        settings = dataclasses.replace(derived.settings, model=str(self.path), private=True)
        return dataclasses.replace(derived, settings=settings)

    def fill(self, report: Report | None = None) -> Memory:
        """All of the model; from a start before, where it was kept. Raises ChunkAltered, SealedCut, CannotOpen."""
        if self.memory is None:
            self.memory = self.opened.memory(report)
        return self.memory

    def let_go(self) -> None:
        """Free the memory."""
        memory, self.memory = self.memory, None
        if memory is not None:
            memory.close()


def require_possible(name: str, options: EngineOptions) -> None:
    """Raises NotWhileSealed."""
    if options.rope_scale not in (None, 1):
        raise NotWhileSealed(option="--rope-scale", model=name, detail=TO_DISK)
    if not options.mmap:
        raise NotWhileSealed(option="--no-mmap", model=name, detail=TWICE)
