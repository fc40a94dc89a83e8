"""What this machine is: processor, memory, GPUs, as much of each as this process may use.

Affinity and control groups (containers) are taken off, so that a plan made from a `Machine` holds inside them.

Does not know: models, engines, how fast the machine is.
"""

from __future__ import annotations

import math
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from penjing.probe import cgroup, gpu
from penjing.probe.gpu import Gpu

CPUINFO = Path("/proc/cpuinfo")
DEVICES = Path("/sys/devices")


@dataclass(frozen=True)
class Machine:
    """`system` as in `platform.system()`. Cores are those this process may use; `performance_cores` of them are fast
    ones (all of them where the processor has one kind). Memory in bytes."""

    system: str
    cpu: str
    features: frozenset[str]
    physical_cores: int
    logical_cores: int
    performance_cores: int
    memory_total: int
    memory_available: int
    gpus: tuple[Gpu, ...] = ()


def read(*, gpus: bool = True) -> Machine:
    """Read this machine now; with `gpus=False` without asking the GPU tools (each takes a process)."""
    system = platform.system()
    limits = cgroup.read() if system == "Linux" else cgroup.Limits()
    memory = psutil.virtual_memory()
    total, available = within(memory.total, memory.available, limits)
    allowed = affinity()
    physical, fast = cores(system, allowed)
    name, features = processor(system)
    return Machine(
        system=system,
        cpu=name,
        features=features,
        physical_cores=share(physical, limits.cpus),
        logical_cores=share(len(allowed), limits.cpus),
        performance_cores=share(fast, limits.cpus),
        memory_total=total,
        memory_available=available,
        gpus=gpu.read(system, total, available) if gpus else (),
    )


def within(total: int, available: int, limits: cgroup.Limits) -> tuple[int, int]:
    """Memory of the machine cut to the group's limit; both in bytes."""
    if limits.memory is None:
        return total, available
    return min(total, limits.memory), min(available, max(limits.memory - limits.memory_used, 0))


def share(count: int, cpus: float | None) -> int:
    """`count` cores cut to a quota of CPU time, at least one.

    >>> share(8, 2.5), share(8, None), share(4, 0.2)
    (3, 8, 1)
    """
    return max(1, count if cpus is None else min(count, math.ceil(cpus)))


def affinity() -> frozenset[int]:
    """The numbers of the logical CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def cores(system: str, allowed: frozenset[int], devices: Path = DEVICES) -> tuple[int, int]:
    """Physical cores and fast physical cores among the logical CPUs `allowed`."""
    if system == "Linux" and (devices / "system/cpu").is_dir():
        owners = {cpu: _owner(devices / f"system/cpu/cpu{cpu}/topology", cpu) for cpu in allowed}
        fast = cpu_list(_text(devices / "cpu_core/cpus")) & allowed  # present on processors with two kinds of cores
        return len(set(owners.values())), len({owners[cpu] for cpu in fast or allowed})
    physical = psutil.cpu_count(logical=False) or len(allowed)
    if system == "Darwin":
        fast_text = _sysctl("hw.perflevel0.physicalcpu")
        return physical, int(fast_text) if fast_text.isdigit() else physical
    physical = min(physical, len(allowed))
    return physical, physical


def _owner(topology: Path, cpu: int) -> tuple[str, str]:
    """Package and core a logical CPU belongs to; its own number where the kernel does not say."""
    core = _text(topology / "core_id")
    return (_text(topology / "physical_package_id"), core) if core else ("", str(cpu))


def cpu_list(text: str) -> frozenset[int]:
    """The kernel's list format.

    >>> sorted(cpu_list("0-2,8"))
    [0, 1, 2, 8]
    """
    found: set[int] = set()
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def processor(system: str) -> tuple[str, frozenset[str]]:
    """The processor's name and the instruction sets it offers, in the kernel's own words."""
    if system == "Linux":
        return cpuinfo(_text(CPUINFO))
    if system == "Darwin":
        flags = _sysctl("machdep.cpu.features") + " " + _sysctl("machdep.cpu.leaf7_features")
        return _sysctl("machdep.cpu.brand_string") or platform.machine(), frozenset(flags.lower().split())
    return platform.processor() or platform.machine(), frozenset()


def cpuinfo(text: str) -> tuple[str, frozenset[str]]:
    """Name and features from `/proc/cpuinfo` (x86 says `flags` and `model name`, Arm `Features` and often no name)."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip().lower(), value.strip())
    name = fields.get("model name") or fields.get("hardware") or platform.machine()
    return name, frozenset((fields.get("flags") or fields.get("features", "")).lower().split())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _sysctl(key: str) -> str:
    try:
        done = subprocess.run(("sysctl", "-n", key), capture_output=True, text=True, timeout=gpu.PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
