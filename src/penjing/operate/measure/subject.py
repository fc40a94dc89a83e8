"""Whatever is measured, ready to be asked: an engine that was started for it, or somebody else's server.

Does not know: loads, figures.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from penjing.engines.engine import Engine
from penjing.engines.llamacpp.footprint import Footprint
from penjing.operate.measure.prompts import Prompts
from penjing.operate.measure.target import Target


@dataclass(frozen=True)
class Start:
    """`seconds` until the engine was ready, and until its `first` word (asked `Hello`). `cold`: the model's file was
    out of the system's page cache before."""

    seconds: float
    first: float
    cold: bool


@dataclass
class Subject:
    """`starts` are those of an engine that was started here: cold, then warm, or one as it came. `fresh` is its
    worker's memory after a first short question, None for a server elsewhere."""

    engine: Engine
    target: Target
    prompts: Prompts
    starts: tuple[Start, ...]
    fresh: Footprint | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.target.name

    async def footprint(self) -> Footprint | None:
        """Its worker's memory now; None for a server elsewhere."""
        weigh = getattr(self.engine, "footprint", None)
        return await weigh() if weigh is not None else None

    async def close(self) -> None:
        """End the engine."""
        await self.engine.stop()


async def opened(engine: Engine, name: str, file: Path | None = None, *, cold: bool = False, seed: int = 1) -> Subject:
    """`engine`, started and met, called `name`. With `cold` it is started twice, at first with its `file` dropped from
    the page cache. Raises what `start` raises, and NotMeasurable."""
    starts = []
    if cold and file is not None and drop(file):
        starts.append((await _started(engine, cold=True))[1])
        await engine.stop()
    target, start = await _started(engine, cold=False)
    target.name = name
    if file is not None:
        starts.append(start)
    subject = Subject(engine, target, Prompts(target, seed), tuple(starts))
    subject.fresh = await subject.footprint()
    return subject


async def _started(engine: Engine, *, cold: bool) -> tuple[Target, Start]:
    began = time.perf_counter()
    try:
        await engine.start()
        seconds = time.perf_counter() - began
        target = Target.of(engine)
        first = await target.meet()
    except BaseException:
        await engine.stop()
        raise
    return target, Start(seconds, first.first, cold)


def drop(path: Path) -> bool:
    """Let the system forget what it keeps of a file in memory (posix_fadvise(2), POSIX_FADV_DONTNEED); whether it can
    be told so. Pages that another process maps stay."""
    if not hasattr(os, "posix_fadvise"):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    return True
