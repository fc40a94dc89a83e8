"""The GPUs of this machine, as far as its own tools tell: nvidia-smi, system_profiler, vulkaninfo, else Linux itself.

nvidia-smi is asked instead of its library (nvidia-ml-py): both say the same, and what a tool prints can be recorded.
What an engine can use of a GPU is the engine's to say. A tool that is absent, slow or talks nonsense means none.

Does not know: drivers, engines.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

from penjing.probe.reading import Reading

MIB = 1 << 20
NVIDIA = ("nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")
DRI = "/dev/dri"
DRM = "/sys/class/drm"
TEGRA = "/etc/nv_tegra_release"
"""There on NVIDIA Jetson boards, whose GPU shares the machine's memory and of which nvidia-smi says `[N/A]`."""
BOARD = "/proc/device-tree/model"
APPLE = ("system_profiler", "-json", "SPDisplaysDataType")
VULKAN = ("vulkaninfo", "--summary")
MAKERS = {"0x1002": "AMD", "0x8086": "Intel", "0x10de": "NVIDIA"}
"""PCI vendor numbers."""


@dataclass(frozen=True)
class Gpu:
    """One GPU. `kind` is `cuda`, `metal`, `vulkan`, or `other` where no tool knows it; memory in bytes, 0 where nobody
    says; `shared` where it is the machine's own memory."""

    kind: str
    name: str
    memory_total: int = 0
    memory_free: int = 0
    shared: bool = False


def read(reading: Reading, memory_total: int, memory_available: int) -> tuple[Gpu, ...]:
    """All GPUs. Some share the machine's memory (bytes), which is why it is given."""
    if reading.system == "Darwin":
        return metal(reading.output(*APPLE), memory_total, memory_available)
    if reading.text(TEGRA):
        name = reading.text(BOARD) or "NVIDIA Tegra"
        return (Gpu("cuda", name, memory_total, memory_available, shared=True),)
    found = cuda(reading.output(*NVIDIA))
    return found or _with_memory(vulkan(reading.output(*VULKAN)), reading) or render_nodes(reading)


def render_nodes(reading: Reading) -> tuple[Gpu, ...]:
    """GPUs that Linux offers to programs (Direct Rendering Infrastructure), by maker and device file."""
    found = []
    for node in (name for name in reading.names(DRI) if name.startswith("renderD")):
        device = f"{DRM}/{node}/device"
        maker = MAKERS.get(reading.text(f"{device}/vendor"), "")
        total, used = _amd_memory(reading, device)
        found.append(Gpu("other", f"{maker} {node}".strip(), total, max(total - used, 0)))
    return tuple(found)


def _amd_memory(reading: Reading, device: str) -> tuple[int, int]:
    """Bytes of a Radeon's own memory and how many are used (Linux Documentation/gpu/amdgpu/driver-misc.rst)."""
    total, used = (reading.text(f"{device}/mem_info_vram_{name}") for name in ("total", "used"))
    return (int(total), int(used)) if total.isdigit() and used.isdigit() else (0, 0)


def _with_memory(cards: tuple[tuple[str, Gpu], ...], reading: Reading) -> tuple[Gpu, ...]:
    """Vulkan's cards with the memory that Linux tells of the same PCI device."""
    known = {}
    for node in (name for name in reading.names(DRM) if name.startswith("renderD")):
        device = f"{DRM}/{node}/device"
        known[reading.text(f"{device}/vendor") + reading.text(f"{device}/device")] = _amd_memory(reading, device)
    found = []
    for numbers, card in cards:
        total, used = known.get(numbers, (0, 0))
        found.append(replace(card, memory_total=total, memory_free=max(total - used, 0)))
    return tuple(found)


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
    return tuple(Gpu("metal", name, memory_total, memory_available, shared=True) for name in names)


def vulkan(text: str) -> tuple[tuple[str, Gpu], ...]:
    """PCI numbers and GPU from `vulkaninfo --summary`; programs that only imitate one (deviceType CPU) are left out."""
    found = []
    for block in re.split(r"^GPU\d+:", text, flags=re.MULTILINE)[1:]:
        fields = dict(re.findall(r"^\s*(\w+)\s*=\s*(.+?)\s*$", block, flags=re.MULTILINE))
        if fields.get("deviceType", "").endswith("_GPU"):
            shared = "INTEGRATED" in fields["deviceType"]
            numbers = fields.get("vendorID", "") + fields.get("deviceID", "")
            found.append((numbers, Gpu("vulkan", fields.get("deviceName", "GPU"), shared=shared)))
    return tuple(found)
