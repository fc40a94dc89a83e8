import os

import psutil
import pytest

from penjing.probe import cgroup, machine


def test_this_machine() -> None:
    here = machine.read()
    assert 1 <= here.performance_cores <= here.physical_cores <= here.logical_cores <= (os.cpu_count() or 1)
    assert 0 < here.memory_available <= here.memory_total <= psutil.virtual_memory().total
    assert here.cpu
    assert machine.read(gpus=False).gpus == ()


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (cgroup.Limits(), (16, 10)),
        (cgroup.Limits(memory=8, memory_used=2), (8, 6)),
        (cgroup.Limits(memory=64, memory_used=2), (16, 10)),
        (cgroup.Limits(memory=8, memory_used=9), (8, 0)),
    ],
)
def test_memory_within_a_group(limits: cgroup.Limits, expected: tuple[int, int]) -> None:
    assert machine.within(16, 10, limits) == expected
