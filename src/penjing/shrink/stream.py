"""Tensors read, changed in type and written a few rows at a time, so that memory does not grow with the model.

Does not know: where the numbers come from, which type a tensor should have.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penjing.files import require_room, writing
from penjing.progress import Progress, Report
from penjing.shrink import container
from penjing.shrink.container import Container, Info
from penjing.shrink.ggml import encode

NUMBERS_AT_ONCE = 1 << 20  # 4 MiB of f32 in each worker
MOST_WORKERS = 8
F16_LARGEST = 65504.0


@dataclass(frozen=True)
class Flow:
    """One tensor on its way: `read(first, last)` gives rows [first, last) as f32 [last - first, info.shape[-1]].
    `code(rows, first)` makes bytes of them, where it is not just `encode`; it gets at least `least` rows at once, but
    for the last ones."""

    info: Info
    read: Callable[[int, int], NDArray[np.float32]]
    code: Callable[[NDArray[np.float32], int], NDArray[np.uint8]] | None = None
    least: int = 1


def write(
    path: Path, metadata: Sequence[bytes], flows: Sequence[Flow], *, stage: str, report: Report | None = None
) -> tuple[Info, ...]:
    """Write a GGUF file whole or not at all; returns its tensors as they were written (an F16 tensor whose numbers
    exceed f16's range is written as BF16). `report` is told the fraction of numbers done, and cancels by raising.
    Raises DiskFull before the first byte where the disk is too small."""
    infos = [flow.info for flow in flows]
    require_room(path.parent, container.size(metadata, infos))
    total = sum(info.rows * info.shape[-1] for info in infos) or 1
    done = 0
    written = []
    workers = min(MOST_WORKERS, cores())
    with ThreadPoolExecutor(workers) as pool, writing(path) as stream:
        file = Container(stream, metadata, infos)
        for flow in flows:
            written.append(_tensor(file, flow, pool, workers, _Ticks(report, stage, done, total)))
            done += flow.info.rows * flow.info.shape[-1]
    return tuple(written)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Overflow(Exception):
    """A number is beyond f16."""


@dataclass(frozen=True)
class _Ticks:
    report: Report | None
    stage: str
    before: int
    total: int

    def __call__(self, numbers: int) -> None:
        if self.report:
            self.report(Progress(min(1.0, (self.before + numbers) / self.total), self.stage))


def _tensor(file: Container, flow: Flow, pool: ThreadPoolExecutor, workers: int, ticks: _Ticks) -> Info:
    begin = file.begin()
    info = flow.info
    try:
        _rows(file, flow, info, pool, workers, ticks)
    except _Overflow:
        info = replace(info, type="BF16")
        file.restart(info, begin, info.type)
        _rows(file, flow, info, pool, workers, ticks)
    file.end()
    return info


def _rows(file: Container, flow: Flow, info: Info, pool: ThreadPoolExecutor, workers: int, ticks: _Ticks) -> None:
    step = max(flow.least, NUMBERS_AT_ONCE // info.shape[-1])
    spans = [(first, min(first + step, info.rows)) for first in range(0, info.rows, step)]
    done = 0
    for coded in _in_order(pool, workers, lambda span: _code(flow, info, span), spans):
        file.put(coded.data)
        done += coded.shape[0] * info.shape[-1]
        ticks(done)


def _code(flow: Flow, info: Info, span: tuple[int, int]) -> NDArray[np.uint8]:
    numbers = flow.read(*span)
    if info.type == "F16" and numbers.size and float(np.abs(numbers).max()) > F16_LARGEST:
        raise _Overflow
    if flow.code is not None and info.type == flow.info.type:
        return flow.code(numbers, span[0])
    return encode(numbers, info.type)


def _in_order(
    pool: ThreadPoolExecutor,
    ahead: int,
    work: Callable[[tuple[int, int]], NDArray[np.uint8]],
    spans: Sequence[tuple[int, int]],
) -> Iterator[NDArray[np.uint8]]:
    """Results in the order of `spans`, at most `ahead` of them in memory."""
    waiting: deque[Future[NDArray[np.uint8]]] = deque()
    try:
        for span in spans:
            waiting.append(pool.submit(work, span))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
