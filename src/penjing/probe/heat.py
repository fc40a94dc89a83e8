"""Temperatures, and whether the machine slows itself down because of them.

Sources: Linux Documentation/driver-api/thermal/sysfs-api.rst (millidegrees), `thermal_throttle` counters
(arch/x86/kernel/cpu/mce/therm_throt.c), Raspberry Pi documentation of `vcgencmd get_throttled`, macOS pmset(1).

Does not know: what is too hot for which part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penjing.probe.reading import Reading

ZONES = "/sys/class/thermal"
COUNTER = "/sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
RASPBERRY = ("vcgencmd", "get_throttled")
NOW = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
"""Bits of the Raspberry Pi's answer; the same 16 bits higher tell what has been since it was switched on."""
BELIEVABLE = range(-40, 151)
"""Degrees: sensors without a value say 0, -274 or nonsense."""


@dataclass(frozen=True)
class Zone:
    name: str
    celsius: float


@dataclass(frozen=True)
class Heat:
    """`throttling` says what slows the machine down at this moment, `throttled` what has since it was switched on (a
    number of times, or words); both empty where nothing does, or where the system does not tell."""

    zones: tuple[Zone, ...] = ()
    throttling: str = ""
    throttled: str = ""

    @property
    def hottest(self) -> Zone | None:
        return max(self.zones, key=lambda zone: zone.celsius, default=None)


def read(reading: Reading) -> Heat:
    if reading.system == "Darwin":
        return Heat(throttling=mach(reading.output("pmset", "-g", "therm")))
    found = []
    for name in reading.names(ZONES):
        text = reading.text(f"{ZONES}/{name}/temp")
        if name.startswith("thermal_zone") and re.fullmatch(r"-?\d+", text) and int(text) // 1000 in BELIEVABLE:
            found.append(Zone(reading.text(f"{ZONES}/{name}/type") or name, int(text) / 1000))
    now, before = raspberry(reading.output(*RASPBERRY))
    count = reading.text(COUNTER)
    return Heat(tuple(found), now, before or (f"{count}×" if count.isdigit() and int(count) else ""))


def raspberry(text: str) -> tuple[str, str]:
    """What holds a Raspberry Pi back now, and what has since it was switched on.

    >>> raspberry("throttled=0x50005")
    ('under-voltage, throttled', 'under-voltage, throttled')
    """
    found = re.search(r"throttled=0x([0-9a-fA-F]+)", text)
    bits = int(found[1], 16) if found else 0
    now = ", ".join(word for bit, word in NOW.items() if bits >> bit & 1)
    return now, ", ".join(word for bit, word in NOW.items() if bits >> (bit + 16) & 1)


def mach(text: str) -> str:
    """What `pmset -g therm` says of a limit in force; it says nothing of temperatures."""
    limit = re.search(r"CPU_Speed_Limit\s*=\s*(\d+)", text)
    return f"CPU_Speed_Limit {limit[1]} %" if limit and int(limit[1]) < 100 else ""
