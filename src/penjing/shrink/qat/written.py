"""What a student learned, as a file in the types that it began with.

Does not know: how it learned.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from penjing.probe.facts import Model
from penjing.progress import Report
from penjing.shrink.container import Info
from penjing.shrink.qat.student import Student
from penjing.shrink.quantize.fields import Bytes, Floats
from penjing.shrink.quantize.write import WHOLE, kept, rows_of
from penjing.shrink.stream import Flow, write


def written(learner: Student, start: Model, output: Path, report: Report) -> None:
    """Write the file `start` with what was learned in the place of its matrices to `output`, whole or not at all.
    Raises DiskFull."""
    flows = []
    for tensor in start.tensors:
        info = Info(tensor.name, tensor.shape, tensor.type)
        if tensor.name in learner.matrices:
            flows.append(_flow(info, learner.coded(tensor.name)))
        else:
            flows.append(Flow(info, rows_of(start, tensor)))
    write(output, kept(start, WHOLE), flows, stage="writing", report=report)


def _flow(info: Info, blocks: Bytes) -> Flow:
    """Rows that are coded already: none is read."""

    def read(first: int, last: int) -> Floats:
        return np.empty((last - first, 0), np.float32)

    return Flow(info, read, lambda some, first: blocks[first : first + len(some)])
