"""Memory and swap of a machine as its system tells them, before any container's limit.

Sources: proc_meminfo(5); on macOS `sysctl hw.memsize vm.swapusage` and vm_stat(1), where inactive and speculative pages
are as good as free.

Does not know: control groups, GPUs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penjing.errors import MachineError
from penjing.probe.reading import Reading

MEMINFO = "/proc/meminfo"
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class MemoryHidden(MachineError):
    """Facts: `where`."""

    template = "This machine does not tell how much memory it has ({where} cannot be read)."
    hint = "In a sandbox or container, let it see {where}; penjing guesses nothing here."
    code = "memory_hidden"


@dataclass(frozen=True)
class Memory:
    """Bytes. `available` is what programs can take without swapping."""

    total: int
    available: int
    swap_total: int = 0
    swap_used: int = 0


def read(reading: Reading) -> Memory:
    """Raises MemoryHidden."""
    if reading.system == "Linux":
        return meminfo(reading.text(MEMINFO))
    if reading.system == "Darwin":
        return mach(reading.output("sysctl", "-a"), reading.output("vm_stat"))
    told = reading.portable()
    if not told.get("total"):
        raise MemoryHidden(where=reading.system)
    return Memory(told["total"], told["available"], told["swap_total"], told["swap_used"])


def meminfo(text: str) -> Memory:
    """From `/proc/meminfo` (its kB are 1024 bytes). Raises MemoryHidden."""
    found = {name: int(number) << 10 for name, number in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    if not found.get("MemTotal"):
        raise MemoryHidden(where=MEMINFO)
    rest = found.get("MemFree", 0) + found.get("Buffers", 0) + found.get("Cached", 0)  # kernels before 3.14
    swap = found.get("SwapTotal", 0)
    return Memory(found["MemTotal"], found.get("MemAvailable", rest), swap, max(swap - found.get("SwapFree", swap), 0))


def mach(sysctl: str, vm_stat: str) -> Memory:
    """From macOS' tools. Raises MemoryHidden."""
    total = re.search(r"^hw\.memsize: (\d+)", sysctl, re.MULTILINE)
    page = re.search(r"page size of (\d+) bytes", vm_stat)
    if not total or not page:
        raise MemoryHidden(where="vm_stat" if total else "sysctl hw.memsize")
    pages = {name: int(count) for name, count in re.findall(r"^Pages ([\w ]+):\s+(\d+)", vm_stat, re.MULTILINE)}
    free = sum(pages.get(name, 0) for name in ("free", "inactive", "speculative"))
    swap = dict(re.findall(r"(total|used) = ([\d.]+[KMG])", _line(sysctl, "vm.swapusage")))
    available = min(free * int(page[1]), int(total[1]))
    return Memory(int(total[1]), available, _size(swap.get("total", "")), _size(swap.get("used", "")))


def _line(text: str, key: str) -> str:
    return next((line for line in text.splitlines() if line.startswith(key + ":")), "")


def _size(text: str) -> int:
    """Bytes of a size as macOS writes it.

    >>> _size("5120.00M") >> 20
    5120
    """
    return int(float(text[:-1]) * UNITS[text[-1]]) if text else 0
