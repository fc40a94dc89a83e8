"""Limits that Linux control groups put on this process: memory and CPU time (cgroup v1 and v2).

Sources: kernel documentation, admin-guide/cgroup-v2 (`memory.max`, `memory.current`, `cpu.max`) and cgroup-v1
(`memory.limit_in_bytes`, `cpu.cfs_quota_us`). A limit may stand on any ancestor, so all are read and the least wins.

Does not know: machines without control groups (every answer is then None).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from penjing.probe.reading import Reading

ROOT = "/sys/fs/cgroup"
MEMBERSHIP = "/proc/self/cgroup"
V1_CPU = ("cpu", "cpu,cpuacct")
"""Where the controller is mounted; the first is often a link to the second."""
UNLIMITED = 1 << 60  # v1 writes "no limit" as a huge number of pages


@dataclass(frozen=True)
class Limits:
    """`memory` and `memory_used` in bytes, `cpus` as a number of whole CPUs' time; None where there is no limit."""

    memory: int | None = None
    memory_used: int = 0
    cpus: float | None = None


def membership(text: str) -> dict[str, str]:
    """Controller to path, from `/proc/self/cgroup`; the unified (v2) hierarchy has the controller `""`.

    >>> membership("0::/user.slice/a.scope\\n")
    {'': '/user.slice/a.scope'}
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            found.update(dict.fromkeys(parts[1].split(","), parts[2]))
    return found


def read(reading: Reading) -> Limits:
    """The least limit of this process's group and its ancestors; no limits where there are no control groups."""
    groups = membership(reading.text(MEMBERSHIP))
    if not groups:
        return Limits()
    found = [_v2(reading, folder) for folder in _ancestors(ROOT, groups[""])] if "" in groups else []
    found += [_v1_memory(reading, folder) for folder in _ancestors(f"{ROOT}/memory", groups.get("memory", "/"))]
    for mount in V1_CPU:
        found += [_v1_cpu(reading, folder) for folder in _ancestors(f"{ROOT}/{mount}", groups.get("cpu", "/"))]
    return _least(found)


def _least(found: list[Limits]) -> Limits:
    memory = min((one for one in found if one.memory is not None), key=lambda one: one.memory or 0, default=Limits())
    cpus = min((one.cpus for one in found if one.cpus is not None), default=None)
    return Limits(memory.memory, memory.memory_used, cpus)


def _ancestors(root: str, path: str) -> Iterator[str]:
    """The folders of a group and its ancestors; inside a container only the root may be visible."""
    group = PurePosixPath(path.strip("/"))
    for part in (group, *group.parents):
        yield str(PurePosixPath(root) / part)


def _number(reading: Reading, path: str) -> int | None:
    text = reading.text(path)
    if not text.lstrip("-").isdigit():  # absent, or the word "max"
        return None
    return int(text) if 0 <= int(text) < UNLIMITED else None


def _file_cache(reading: Reading, folder: str, key: str) -> int:
    """Bytes of page cache that the kernel gives back under pressure: they count as used, but are as good as free."""
    lines = (line.split() for line in reading.text(f"{folder}/memory.stat").splitlines())
    return next((int(line[1]) for line in lines if len(line) == 2 and line[0] == key and line[1].isdigit()), 0)


def _v2(reading: Reading, folder: str) -> Limits:
    memory = _number(reading, f"{folder}/memory.max")
    if memory is None:
        return Limits(cpus=_v2_cpus(reading.text(f"{folder}/cpu.max")))
    used = (_number(reading, f"{folder}/memory.current") or 0) - _file_cache(reading, folder, "inactive_file")
    return Limits(memory, max(used, 0), _v2_cpus(reading.text(f"{folder}/cpu.max")))


def _v2_cpus(text: str) -> float | None:
    quota, _, period = text.partition(" ")
    known = quota.isdigit() and period.isdigit() and int(quota) and int(period)  # else absent, or "max 100000"
    return int(quota) / int(period) if known else None


def _v1_memory(reading: Reading, folder: str) -> Limits:
    memory = _number(reading, f"{folder}/memory.limit_in_bytes")
    if memory is None:
        return Limits()
    used = (_number(reading, f"{folder}/memory.usage_in_bytes") or 0) - _file_cache(
        reading, folder, "total_inactive_file"
    )
    return Limits(memory, max(used, 0))


def _v1_cpu(reading: Reading, folder: str) -> Limits:
    quota, period = (_number(reading, f"{folder}/cpu.cfs_{name}_us") for name in ("quota", "period"))
    return Limits(cpus=quota / period if quota and period else None)
