import os
from pathlib import Path

import psutil
import pytest

from penjing.probe import cgroup, machine

X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Core(TM) i7-1260P
flags\t\t: fpu vme AVX2 avx_vnni

processor\t: 1
model name\t: Intel(R) Core(TM) i7-1260P
flags\t\t: fpu
"""
ARM = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd asimddp sve
CPU implementer\t: 0x41

Hardware\t: BCM2835
"""


def test_this_machine() -> None:
    here = machine.read()
    assert 1 <= here.performance_cores <= here.physical_cores <= here.logical_cores <= (os.cpu_count() or 1)
    assert 0 < here.memory_available <= here.memory_total <= psutil.virtual_memory().total
    assert here.cpu
    assert machine.read(gpus=False).gpus == ()


def test_cpuinfo_of_x86_and_arm() -> None:
    assert machine.cpuinfo(X86) == ("Intel(R) Core(TM) i7-1260P", frozenset({"fpu", "vme", "avx2", "avx_vnni"}))
    assert machine.cpuinfo(ARM) == ("BCM2835", frozenset({"fp", "asimd", "asimddp", "sve"}))
    assert machine.cpuinfo("")[0]  # no /proc: the platform's word


def topology(root: Path, owners: dict[int, tuple[int, int]], fast: str = "") -> Path:
    for cpu, (package, core) in owners.items():
        folder = root / f"system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text(f"{package}\n")
        (folder / "core_id").write_text(f"{core}\n")
    if fast:
        (root / "cpu_core").mkdir()
        (root / "cpu_core/cpus").write_text(fast + "\n")
    return root


def test_threads_of_one_core_count_once(tmp_path: Path) -> None:
    root = topology(tmp_path, {0: (0, 0), 1: (0, 0), 2: (0, 1), 3: (0, 1)})
    assert machine.cores("Linux", frozenset({0, 1, 2, 3}), root) == (2, 2)
    assert machine.cores("Linux", frozenset({0, 1}), root) == (1, 1)


def test_same_core_number_in_two_packages(tmp_path: Path) -> None:
    root = topology(tmp_path, {0: (0, 0), 1: (1, 0)})
    assert machine.cores("Linux", frozenset({0, 1}), root) == (2, 2)


def test_fast_and_slow_cores(tmp_path: Path) -> None:
    owners = {0: (0, 0), 1: (0, 0), 2: (0, 4), 3: (0, 4), 4: (0, 8), 5: (0, 9)}
    root = topology(tmp_path, owners, fast="0-3")
    assert machine.cores("Linux", frozenset(range(6)), root) == (4, 2)
    assert machine.cores("Linux", frozenset({4, 5}), root) == (2, 2)  # pinned to slow ones: these are what there is


def test_kernel_without_topology(tmp_path: Path) -> None:
    (tmp_path / "system/cpu").mkdir(parents=True)
    assert machine.cores("Linux", frozenset({0, 1, 2}), tmp_path) == (3, 3)


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
