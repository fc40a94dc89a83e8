"""The processor: its name, what it offers, its cores, its caches.

Sources: Linux `/proc/cpuinfo`, `/sys/devices/system/cpu` (Documentation/ABI/testing/sysfs-devices-system-cpu), macOS
`sysctl`; names of Arm cores as in util-linux `sys-utils/lscpu-arm.c`.

Does not know: how fast any of it is, quotas of CPU time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from penjing.probe.reading import Reading

CPUS = "/sys/devices/system/cpu"
FAST_FREQUENCIES = "/sys/devices/cpu_core/cpus"
"""The fast cores of an Intel processor with two kinds of them."""
FAST_SHARE = 0.5
"""An Arm core with less than this share of the best one's capacity is a slow one (a little core has about a third)."""
SIZES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
ARM_PARTS = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd09"): "Cortex-A73",
    ("0x41", "0xd0a"): "Cortex-A75",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd0d"): "Cortex-A77",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd41"): "Cortex-A78",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd44"): "Cortex-X1",
    ("0x41", "0xd46"): "Cortex-A510",
    ("0x41", "0xd47"): "Cortex-A710",
    ("0x41", "0xd48"): "Cortex-X2",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4d"): "Cortex-A715",
    ("0x41", "0xd4e"): "Cortex-X3",
    ("0x41", "0xd4f"): "Neoverse-V2",
    ("0x46", "0x001"): "A64FX",
    ("0x48", "0xd01"): "Kunpeng-920",
    ("0x51", "0x802"): "Kryo-3XX-Gold",
    ("0x51", "0x803"): "Kryo-3XX-Silver",
    ("0x51", "0x804"): "Kryo-4XX-Gold",
    ("0x51", "0x805"): "Kryo-4XX-Silver",
    ("0x61", "0x022"): "Icestorm-M1",
    ("0x61", "0x023"): "Firestorm-M1",
    ("0x61", "0x032"): "Blizzard-M2",
    ("0x61", "0x033"): "Avalanche-M2",
    ("0xc0", "0xac3"): "Ampere-1",
}


@dataclass(frozen=True)
class Cache:
    """`bytes` of one cache of `level`; `count` of them are there; `kind` is `data`, `instruction` or `unified`."""

    level: int
    kind: str
    bytes: int
    count: int


@dataclass(frozen=True)
class Processor:
    """`features` in the system's own words, lower case. `physical` and `fast` count cores among the logical CPUs that
    this process may use; all are fast where there is one kind."""

    name: str
    features: frozenset[str]
    physical: int
    fast: int
    logical: int
    caches: tuple[Cache, ...] = ()


def read(reading: Reading) -> Processor:
    """The processor, as far as this process may use it."""
    allowed = reading.affinity()
    if reading.system == "Linux":
        name, features = cpuinfo(reading.text("/proc/cpuinfo"))
        physical, fast = cores(reading, allowed)
        return Processor(
            name or reading.architecture, features, physical, fast, len(allowed), tuple(_caches(reading, allowed))
        )
    if reading.system == "Darwin":
        return mach(reading.output("sysctl", "-a"), allowed, reading.architecture)
    physical = min(reading.portable().get("physical") or len(allowed), len(allowed))
    return Processor(reading.architecture, frozenset(), physical, physical, len(allowed))


def cpuinfo(text: str) -> tuple[str, frozenset[str]]:
    """Name and features from `/proc/cpuinfo`. x86 says `model name` and `flags`, Arm `Features` (those that all cores
    have) and the numbers of its makers; a board's `Model` or `Hardware` where nothing else is known."""
    name, features = "", None
    parts: dict[str, None] = {}
    fields: dict[str, str] = {}
    for line in [*text.splitlines(), "processor: end"]:
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "processor" and fields:
            parts |= dict.fromkeys(_part(fields))
            own = frozenset((fields.get("flags") or fields.get("Features", "")).lower().split())
            if own:  # Android's kernels begin with a line of their own
                features = own if features is None else features & own
            name = name or fields.get("model name", "")
            fields = {}
        fields[key] = value
    board = re.search(r"^(?:Hardware|Model)\s*: (.+)$", text, re.MULTILINE)
    return name or " + ".join(parts) or (board[1].strip() if board else ""), features or frozenset()


def _part(fields: dict[str, str]) -> Iterator[str]:
    """The name of an Arm core; its numbers where nobody has told us the name."""
    maker, part = fields.get("CPU implementer", ""), fields.get("CPU part", "")
    if maker and part:
        yield ARM_PARTS.get((maker, part), f"Arm {maker}/{part}")


def cores(reading: Reading, allowed: frozenset[int]) -> tuple[int, int]:
    """Physical cores and fast physical cores among the logical CPUs `allowed`."""
    owners = {cpu: _owner(reading, cpu) for cpu in allowed}
    fast = cpu_list(reading.text(FAST_FREQUENCIES)) & allowed
    if not fast:
        capacity = {cpu: reading.text(f"{CPUS}/cpu{cpu}/cpu_capacity") for cpu in allowed}
        known = {cpu: int(text) for cpu, text in capacity.items() if text.isdigit()}
        fast = frozenset(cpu for cpu, value in known.items() if value >= FAST_SHARE * max(known.values()))
    return len(set(owners.values())), len({owners[cpu] for cpu in fast or allowed})


def _owner(reading: Reading, cpu: int) -> tuple[str, ...]:
    """Package and core a logical CPU belongs to; its own number where the kernel does not say. Arm numbers the cores
    of each cluster from 0."""
    place = f"{CPUS}/cpu{cpu}/topology"
    siblings = reading.text(f"{place}/core_cpus_list") or reading.text(f"{place}/thread_siblings_list")
    if siblings:
        return (siblings,)
    core = reading.text(f"{place}/core_id")
    return (reading.text(f"{place}/physical_package_id"), core) if core else ("", str(cpu))


def cpu_list(text: str) -> frozenset[int]:
    """The kernel's list format.

    >>> sorted(cpu_list("0-2,8"))
    [0, 1, 2, 8]
    """
    found: set[int] = set()
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _caches(reading: Reading, allowed: frozenset[int]) -> Iterator[Cache]:
    """Each kind of cache once, with how many of them the CPUs `allowed` have."""
    seen: dict[tuple[int, str, int], set[str]] = {}
    for cpu in sorted(allowed):
        for index in reading.names(f"{CPUS}/cpu{cpu}/cache"):
            place = f"{CPUS}/cpu{cpu}/cache/{index}"
            size = re.fullmatch(r"(\d+)([KMG])", reading.text(f"{place}/size"))
            level = reading.text(f"{place}/level")
            if size and level.isdigit():
                key = (int(level), reading.text(f"{place}/type").lower(), int(size[1]) * SIZES[size[2]])
                seen.setdefault(key, set()).add(reading.text(f"{place}/shared_cpu_list") or str(cpu))
    for (level_, kind, size_), owners in sorted(seen.items()):
        yield Cache(level_, kind, size_, len(owners))


def mach(sysctl: str, allowed: frozenset[int], architecture: str) -> Processor:
    """From macOS' `sysctl -a`."""
    facts = dict(re.findall(r"^([\w.]+): (.*)$", sysctl, re.MULTILINE))
    words = {
        key.rsplit(".", 1)[-1].lower() for key, value in facts.items() if key.startswith("hw.optional") and value == "1"
    }
    for key in ("machdep.cpu.features", "machdep.cpu.leaf7_features"):
        words |= set(facts.get(key, "").lower().split())
    physical = int(facts.get("hw.physicalcpu", 0)) or len(allowed)
    fast = int(facts.get("hw.perflevel0.physicalcpu", 0)) or physical
    logical = int(facts.get("hw.logicalcpu", 0)) or len(allowed)
    name = facts.get("machdep.cpu.brand_string") or architecture
    return Processor(name, frozenset(words), physical, fast, logical, tuple(_mach_caches(facts, physical)))


def _mach_caches(facts: dict[str, str], physical: int) -> Iterator[Cache]:
    """Caches of each kind of core, or of the only one."""
    levels = [key for key in ("hw.perflevel0.", "hw.perflevel1.") if key + "physicalcpu" in facts] or ["hw."]
    for prefix in levels:
        count = int(facts.get(prefix + "physicalcpu", physical))
        shared = int(facts.get(prefix + "cpusperl2", 1))
        for name, level, kind, number in (
            ("l1dcachesize", 1, "data", count),
            ("l1icachesize", 1, "instruction", count),
            ("l2cachesize", 2, "unified", -(-count // shared)),
            ("l3cachesize", 3, "unified", 1),
        ):
            size = facts.get(prefix + name, "")
            if size.isdigit() and int(size):
                yield Cache(level, kind, int(size), number)
