"""Processors made for neural networks, where the system tells of them. No engine of penjing computes on one yet.

Sources: Linux `Documentation/accel` (`/sys/class/accel`), drivers of the makers (`/sys/class/hailo_chardev`,
`/sys/class/apex`), device tree names of Rockchip and Qualcomm; every Mac with Apple silicon has a Neural Engine.

Does not know: what they can do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penjing.probe.reading import Reading

ACCELERATORS = "/sys/class/accel"
DRIVERS = {
    "intel_vpu": "Intel NPU",
    "amdxdna": "AMD XDNA NPU",
    "qaic": "Qualcomm Cloud AI 100",
    "habanalabs": "Intel Gaudi",
    "rocket": "Rockchip NPU",
    "ethosu": "Arm Ethos-U",
}
"""Driver, as in `uevent`, to a name."""
CLASSES = {"/sys/class/hailo_chardev": "Hailo", "/sys/class/apex": "Coral Edge TPU"}
ROCKCHIP = "/sys/class/devfreq"
"""The maker's own kernel has no accelerator class; its NPU shows as `fdab0000.npu` there."""
QUALCOMM = ("/dev/fastrpc-cdsp", "/dev/adsprpc-smd")
"""The device files through which programs reach the Hexagon processor, by the mainline and by Android's driver."""


@dataclass(frozen=True)
class Npu:
    """`where` is the file or tool that told of it."""

    name: str
    where: str


def read(reading: Reading) -> tuple[Npu, ...]:
    """All that the system tells of."""
    if reading.system == "Darwin":
        silicon = re.search(r"^hw\.optional\.arm64: 1$", reading.output("sysctl", "-a"), re.MULTILINE)
        return (Npu("Apple Neural Engine", "hw.optional.arm64"),) if silicon else ()
    found = []
    for entry in reading.names(ACCELERATORS):
        driver = re.search(r"^DRIVER=(\S+)", reading.text(f"{ACCELERATORS}/{entry}/device/uevent"), re.MULTILINE)
        name = DRIVERS.get(driver[1], driver[1]) if driver else entry
        found.append(Npu(name, f"{ACCELERATORS}/{entry}"))
    for folder, name in CLASSES.items():
        found += [Npu(name, f"{folder}/{entry}") for entry in reading.names(folder)]
    found += [Npu("Rockchip NPU", f"{ROCKCHIP}/{entry}") for entry in reading.names(ROCKCHIP) if entry.endswith(".npu")]
    present = reading.names("/dev")
    return tuple(
        found + [Npu("Qualcomm Hexagon", path) for path in QUALCOMM if path.removeprefix("/dev/") in present][:1]
    )
