from pathlib import Path

from penjing.probe import processor
from penjing.probe.reading import Reading

X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Core(TM) i7-1260P
flags\t\t: fpu vme AVX2 avx_vnni

processor\t: 1
model name\t: Intel(R) Core(TM) i7-1260P
flags\t\t: fpu vme AVX2 avx_vnni
"""
ARM = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd asimddp sve
CPU implementer\t: 0x41
CPU part\t: 0xd05

processor\t: 1
Features\t: fp asimd asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b

processor\t: 2
CPU implementer\t: 0x99
CPU part\t: 0x001

Hardware\t: BCM2835
"""


def test_cpuinfo_of_x86() -> None:
    name, features = processor.cpuinfo(X86)
    assert (name, features) == ("Intel(R) Core(TM) i7-1260P", frozenset({"fpu", "vme", "avx2", "avx_vnni"}))


def test_cpuinfo_of_arm_has_what_all_cores_have() -> None:
    name, features = processor.cpuinfo(ARM)
    assert name == "Cortex-A55 + Cortex-A76 + Arm 0x99/0x001"
    assert features == frozenset({"fp", "asimd", "asimddp"})


def test_cpuinfo_that_says_little() -> None:
    assert processor.cpuinfo("") == ("", frozenset())
    assert processor.cpuinfo("Hardware\t: BCM2835\n") == ("BCM2835", frozenset())


def cores(root: Path, allowed: set[int]) -> tuple[int, int]:
    return processor.cores(Reading(root), frozenset(allowed))


def topology(root: Path, owners: dict[int, tuple[int, int]], fast: str = "", capacity: tuple[int, ...] = ()) -> Path:
    for cpu, (package, core) in owners.items():
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text(f"{package}\n")
        (folder / "core_id").write_text(f"{core}\n")
    for cpu, value in enumerate(capacity):
        (root / f"sys/devices/system/cpu/cpu{cpu}/cpu_capacity").write_text(f"{value}\n")
    if fast:
        (root / "sys/devices/cpu_core").mkdir()
        (root / "sys/devices/cpu_core/cpus").write_text(fast + "\n")
    return root


def test_threads_of_one_core_count_once(tmp_path: Path) -> None:
    root = topology(tmp_path, {0: (0, 0), 1: (0, 0), 2: (0, 1), 3: (0, 1)})
    assert cores(root, {0, 1, 2, 3}) == (2, 2)
    assert cores(root, {0, 1}) == (1, 1)


def test_same_core_number_in_two_packages(tmp_path: Path) -> None:
    assert cores(topology(tmp_path, {0: (0, 0), 1: (1, 0)}), {0, 1}) == (2, 2)


def test_fast_and_slow_cores(tmp_path: Path) -> None:
    owners = {0: (0, 0), 1: (0, 0), 2: (0, 4), 3: (0, 4), 4: (0, 8), 5: (0, 9)}
    root = topology(tmp_path, owners, fast="0-3")
    assert cores(root, set(range(6))) == (4, 2)
    assert cores(root, {4, 5}) == (2, 2)  # pinned to slow ones: these are what there is


def test_big_and_little_cores(tmp_path: Path) -> None:
    root = topology(tmp_path, {cpu: (0, cpu) for cpu in range(4)}, capacity=(250, 250, 860, 1024))
    assert cores(root, {0, 1, 2, 3}) == (4, 2)


def test_kernel_without_topology(tmp_path: Path) -> None:
    assert cores(tmp_path, {0, 1, 2}) == (3, 3)
