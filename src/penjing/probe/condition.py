"""How this machine is at this moment: power, heat, the disk of penjing's home, a compiler.

Does not know: what the machine is made of, what to do about its condition.
"""

from __future__ import annotations

from dataclasses import dataclass

from penjing.files import home
from penjing.probe import heat, power
from penjing.probe.heat import Heat
from penjing.probe.power import Power
from penjing.probe.reading import Reading

COMPILERS = ("cc", "gcc", "clang")


@dataclass(frozen=True)
class Condition:
    """`disk` is the folder of penjing's home; `disk_total` and `disk_free` in bytes."""

    power: Power
    heat: Heat
    disk: str
    disk_total: int
    disk_free: int
    compiler: bool


def read(reading: Reading | None = None) -> Condition:
    reading = reading or Reading()
    place = str(home())
    total, free = reading.space(place)
    return Condition(power.read(reading), heat.read(reading), place, total, free, reading.present(*COMPILERS))
