"""Where a model is to run: this machine, or a device of the catalogue; what it may take there, how fast that is, and
which of these figures are assumed.

Does not know: models.
"""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from dataclasses import dataclass

from penjing.plan import devices
from penjing.plan.devices import Core, Device, SeveralDevices, UnknownDevice
from penjing.probe.calibrate import Calibration
from penjing.probe.machine import Machine

SPARE = 0.1
"""Share of the free memory that is left to everybody else, as engines leave it."""
LIKE = {"x86": "Laptop DDR4", "arm": "Android phone"}
"""The device whose speeds are assumed of a machine that was not measured and that is none of the catalogue."""
GHZ = 3.0


@dataclass(frozen=True)
class Place:
    """`budget` in bytes is what one model and all it needs may take, `card` how much of it is on GPUs with memory of
    their own; `device` is the catalogue's entry that figures were taken from, None where all were measured. `assumed`
    names the figures that nobody told."""

    machine: Machine
    calibration: Calibration
    budget: int
    here: bool
    device: Device | None = None
    assumed: tuple[str, ...] = ()
    card: int = 0

    @property
    def name(self) -> str:
        """The processor, or the device."""
        return self.machine.cpu if self.here or self.device is None else self.device.name


def here(machine: Machine, calibration: Calibration | None = None, gpu_memory: int = 0) -> Place:
    """This machine as it is now. Without a calibration its speed is assumed to be that of a device like it.
    `gpu_memory` (bytes) is what is free on GPUs with memory of their own that an engine here can use."""
    budget, card = int((machine.memory_available + gpu_memory) * (1 - SPARE)), int(gpu_memory * (1 - SPARE))
    if calibration is not None:
        return Place(machine, calibration, budget, here=True, card=card)
    like = resembling(machine)
    expected, unknown = devices.expected(like), ("bandwidth", "cores")
    return Place(machine, expected, budget, here=True, device=like, assumed=unknown, card=card)


def there(device: Device) -> Place:
    """A device of the catalogue with nothing else running."""
    made = devices.machine(device)
    return Place(made, devices.expected(device), device.budget, here=False, device=device, assumed=device.assumed)


def resembling(machine: Machine) -> Device:
    """The catalogue's device that a machine is, by its own names; else one like it, with the machine's own cores."""
    for text in (machine.model, machine.cpu):
        with suppress(UnknownDevice, SeveralDevices):
            return devices.find(text)
    kind = "arm" if "NEON" in machine.instructions else "x86"
    like = devices.catalogue()[LIKE[kind]]
    cores = (Core(machine.performance_cores, machine.cpu, GHZ),)
    return dataclasses.replace(like, cores=cores, instructions=machine.instructions or like.instructions)
