"""What a run trains on, read at run time, without naming the host."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """Processor, cores and memory in GiB; no accelerator, since the recipe runs on the CPU."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        features = next(line for line in lines if line.startswith("flags"))
        name += " with AMX" if "amx_bf16" in features else ""
    except (OSError, StopIteration):
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {"processor": name, "cores": os.cpu_count(), "memory_gib": round(memory / 2**30), "accelerator": None}
