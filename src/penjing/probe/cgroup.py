"""Limits that Linux control groups put on this process: memory and CPU time (cgroup v1 and v2).

Sources: kernel documentation, admin-guide/cgroup-v2 (`memory.max`, `memory.current`, `cpu.max`) and cgroup-v1
(`memory.limit_in_bytes`, `cpu.cfs_quota_us`). A limit may stand on any ancestor, so all are read and the least wins.

Does not know: machines without control groups (every answer is then None).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
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


def read(root: Path = ROOT, membership_file: Path = MEMBERSHIP) -> Limits:
    """The least limit of this process's group and its ancestors; no limits where there are no control groups."""
    try:
        groups = membership(membership_file.read_text())
    except OSError:
        return Limits()
    found = [_v2(folder) for folder in _ancestors(root, groups.get("", ""))] if "" in groups else []
    found += [_v1_memory(folder) for folder in _ancestors(root / "memory", groups.get("memory", "/"))]
    found += [_v1_cpu(folder) for folder in _ancestors(root / "cpu", groups.get("cpu", "/"))]
    return _least(found)


def _least(found: list[Limits]) -> Limits:
    memory = min((one for one in found if one.memory is not None), key=lambda one: one.memory or 0, default=Limits())
    cpus = min((one.cpus for one in found if one.cpus is not None), default=None)
    return Limits(memory.memory, memory.memory_used, cpus)


def _ancestors(root: Path, path: str) -> Iterator[Path]:
    """The folders of a group and its ancestors; inside a container only the root may be visible."""
    group = PurePosixPath(path.strip("/"))
    for part in (group, *group.parents):
        folder = root / part
        if folder.is_dir():
            yield folder


def _number(path: Path) -> int | None:
    try:
        value = int(path.read_text())
    except (OSError, ValueError):  # absent, or the word "max"
        return None
    return value if 0 <= value < UNLIMITED else None


def _file_cache(folder: Path, key: str) -> int:
    """Bytes of page cache that the kernel gives back under pressure: they count as used, but are as good as free."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(key + " ")), 0)


def _v2(folder: Path) -> Limits:
    memory = _number(folder / "memory.max")
    used = (_number(folder / "memory.current") or 0) - _file_cache(folder, "inactive_file")
    return Limits(memory, max(used, 0), _v2_cpus(folder / "cpu.max"))


def _v2_cpus(path: Path) -> float | None:
    try:
        quota, period = path.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # absent, or "max 100000"
        return None


def _v1_memory(folder: Path) -> Limits:
    memory = _number(folder / "memory.limit_in_bytes")
    used = (_number(folder / "memory.usage_in_bytes") or 0) - _file_cache(folder, "total_inactive_file")
    return Limits(memory, max(used, 0))


def _v1_cpu(folder: Path) -> Limits:
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return Limits(cpus=quota / period if quota and period else None)
