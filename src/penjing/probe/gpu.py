"""The GPUs of this machine, as far as its own tools tell: nvidia-smi, system_profiler, vulkaninfo, else Linux itself.

What an engine can use of them is the engine's to say. A tool that is absent, slow or talks nonsense means none.

Does not know: drivers, engines.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 5.0
"""Seconds a tool may take; a driver in trouble can make nvidia-smi hang."""
MIB = 1 << 20
NVIDIA = ("nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")
DRI = Path("/dev/dri")
APPLE = ("system_profiler", "-json", "SPDisplaysDataType")
VULKAN = ("vulkaninfo", "--summary")


@dataclass(frozen=True)
class Gpu:
    """One GPU. `kind` is `cuda`, `metal`, `vulkan`, or `other` where no tool knows it; memory in bytes, 0 where nobody
    says."""

    kind: str
    name: str
    memory_total: int = 0
    memory_free: int = 0


def read(system: str, memory_total: int, memory_available: int) -> tuple[Gpu, ...]:
    """All GPUs. On Apple silicon the GPU shares the machine's memory (bytes), which is why it is given."""
    if system == "Darwin":
        return metal(_run(APPLE), memory_total, memory_available)
    return cuda(_run(NVIDIA)) or vulkan(_run(VULKAN)) or render_nodes()


def render_nodes(folder: Path = DRI) -> tuple[Gpu, ...]:
    """GPUs that Linux offers to programs (Direct Rendering Infrastructure), by the name of their device file."""
    return tuple(Gpu("other", node.name) for node in sorted(folder.glob("renderD*")))


def _run(command: tuple[str, ...]) -> str:
    """What the tool prints; empty when it is absent, fails or takes longer than PATIENCE."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def cuda(text: str) -> tuple[Gpu, ...]:
    """GPUs from nvidia-smi's CSV (MiB).

    >>> cuda("NVIDIA T4, 15360, 15000\\n")[0].memory_free // MIB
    15000
    """
    found = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.rsplit(",", 2)]
        if len(fields) == 3 and fields[1].isdigit() and fields[2].isdigit():
            found.append(Gpu("cuda", fields[0], int(fields[1]) * MIB, int(fields[2]) * MIB))
    return tuple(found)


def metal(text: str, memory_total: int, memory_available: int) -> tuple[Gpu, ...]:
    """GPUs that support Metal, from system_profiler's JSON."""
    try:
        displays = json.loads(text).get("SPDisplaysDataType", [])
    except (ValueError, AttributeError):
        return ()
    names = [
        str(entry.get("sppci_model", "Apple GPU"))
        for entry in displays
        if isinstance(entry, dict) and any("metal" in str(value).lower() for value in entry.values())
    ]
    return tuple(Gpu("metal", name, memory_total, memory_available) for name in names)


def vulkan(text: str) -> tuple[Gpu, ...]:
    """GPUs from `vulkaninfo --summary`; programs that only imitate one (deviceType CPU) are left out."""
    found = []
    for block in re.split(r"^GPU\d+:", text, flags=re.MULTILINE)[1:]:
        fields = dict(re.findall(r"^\s*(\w+)\s*=\s*(.+?)\s*$", block, flags=re.MULTILINE))
        if fields.get("deviceType", "").endswith("_GPU"):
            found.append(Gpu("vulkan", fields.get("deviceName", "GPU")))
    return tuple(found)
