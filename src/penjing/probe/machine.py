"""What this machine is: processor, memory, GPUs, as much of each as this process may use.

Affinity and control groups (containers) are taken off, so that a plan made from a `Machine` holds inside them.

Does not know: models, engines, how fast the machine is (`calibrate`), how it is at this moment (`condition`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from penjing.probe import cgroup, gpu, instructions, memory, npu, processor
from penjing.probe.cgroup import Limits
from penjing.probe.gpu import Gpu
from penjing.probe.npu import Npu
from penjing.probe.processor import Cache
from penjing.probe.reading import Reading

NO_LIMITS = Limits()
BOARD = ("/proc/device-tree/model", "/sys/class/dmi/id/product_name")


@dataclass(frozen=True)
class Machine:
    """`system` as in `platform.system()`. `features` are the system's own words, `instructions` ours for those that
    matter. Cores are those this process may use; `performance_cores` of them are fast ones (all of them where the
    processor has one kind). Memory and swap in bytes, the memory within `limits`, those of a container."""

    system: str
    cpu: str
    features: frozenset[str]
    physical_cores: int
    logical_cores: int
    performance_cores: int
    memory_total: int
    memory_available: int
    gpus: tuple[Gpu, ...] = ()
    architecture: str = ""
    model: str = ""
    caches: tuple[Cache, ...] = ()
    swap_total: int = 0
    swap_used: int = 0
    limits: Limits = NO_LIMITS
    npus: tuple[Npu, ...] = ()

    @property
    def instructions(self) -> tuple[str, ...]:
        """The instruction sets that matter, in our names (`instructions.MEANS`)."""
        return instructions.offered(self.features)

    @property
    def last_cache(self) -> int:
        """Bytes of the largest cache; 0 where the system does not tell."""
        return max((cache.bytes for cache in self.caches), default=0)


def read(reading: Reading | None = None, *, gpus: bool = True) -> Machine:
    """Read this machine now, or another from its recording; with `gpus=False` without asking the GPU tools (each takes
    a process). Raises MemoryHidden."""
    reading = reading or Reading()
    limits = cgroup.read(reading) if reading.system == "Linux" else NO_LIMITS
    found = memory.read(reading)
    total, available = within(found.total, found.available, limits)
    cpu = processor.read(reading)
    return Machine(
        system=reading.system,
        architecture=reading.architecture,
        model=_model(reading),
        cpu=cpu.name,
        features=cpu.features,
        physical_cores=share(cpu.physical, limits.cpus),
        logical_cores=share(cpu.logical, limits.cpus),
        performance_cores=share(cpu.fast, limits.cpus),
        caches=cpu.caches,
        memory_total=total,
        memory_available=available,
        swap_total=found.swap_total,
        swap_used=found.swap_used,
        limits=limits,
        gpus=gpu.read(reading, total, available) if gpus else (),
        npus=npu.read(reading),
    )


def _model(reading: Reading) -> str:
    """The board's or computer's own name."""
    if reading.system == "Darwin":
        found = re.search(r"^hw\.model: (.+)$", reading.output("sysctl", "-a"), re.MULTILINE)
        return found[1] if found else ""
    return next((text for path in BOARD if (text := reading.text(path))), "")


def within(total: int, available: int, limits: Limits) -> tuple[int, int]:
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
