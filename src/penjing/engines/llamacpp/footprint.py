"""What a worker takes of the machine's memory.

Source: Linux `/proc/PID/smaps` (proc(5)); elsewhere psutil, which cannot tell mapped from private.

Does not know: what the memory is used for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import psutil

KIB = 1024


@dataclass(frozen=True)
class Footprint:
    """Bytes. `mapped` of the model file are mapped, `mapped_resident` of those in memory (shared with the page cache);
    `resident` is all the worker has in memory, `private` what would be freed if it ended."""

    mapped: int = 0
    mapped_resident: int = 0
    resident: int = 0
    private: int = 0


def resident(pid: int) -> int:
    """Bytes of process `pid` in memory; 0 when there is no such process. Cheap."""
    try:
        return int(psutil.Process(pid).memory_info().rss) if pid else 0
    except psutil.Error:
        return 0


def weigh(pid: int, model: Path) -> Footprint:
    """The footprint of process `pid` that maps `model`; zeros when it has ended."""
    if not pid:
        return Footprint()
    try:
        return parse(Path(f"/proc/{pid}/smaps").read_text(errors="replace"), str(model.resolve()))
    except OSError:
        return Footprint(resident=resident(pid), private=resident(pid))


def parse(smaps: str, model: str) -> Footprint:
    """From the text of `smaps`: mappings, each a header line with addresses and path, then fields in kB."""
    mapped = mapped_resident = total = private = 0
    ours = False
    for line in smaps.splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            ours = line.endswith(model)
            continue
        key, _, value = line.partition(":")
        if key not in ("Size", "Rss", "Private_Clean", "Private_Dirty"):
            continue
        size = int(value.split()[0]) * KIB
        mapped += size if ours and key == "Size" else 0
        mapped_resident += size if ours and key == "Rss" else 0
        total += size if key == "Rss" else 0
        private += size if key.startswith("Private") and not ours else 0
    return Footprint(mapped, mapped_resident, total, private)
