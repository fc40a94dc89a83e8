"""Battery and power plan: what makes a machine slower than it could be, before any heat.

Sources: Linux Documentation/ABI/testing/sysfs-class-power, Documentation/admin-guide/pm/cpufreq.rst and
intel_pstate.rst, sysfs-platform_profile; macOS pmset(1).

Does not know: what to do about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penjing.probe.reading import Reading

SUPPLIES = "/sys/class/power_supply"
POLICY = "/sys/devices/system/cpu/cpu0/cpufreq"
PROFILE = "/sys/firmware/acpi/platform_profile"
NO_TURBO = "/sys/devices/system/cpu/intel_pstate/no_turbo"
BOOST = "/sys/devices/system/cpu/cpufreq/boost"


@dataclass(frozen=True)
class Power:
    """Empty or None where the system does not tell. `battery` is a percentage; `governor`, `driver` and `preference`
    are Linux cpufreq's words, `profile` the firmware's (`low-power`, `balanced`, `performance` ...; `low power mode` on
    macOS); frequencies in Hz."""

    battery: int | None = None
    on_battery: bool = False
    governor: str = ""
    driver: str = ""
    preference: str = ""
    profile: str = ""
    frequency_allowed: int = 0
    frequency_most: int = 0
    turbo: bool | None = None

    @property
    def saving(self) -> str:
        """The setting that holds the processor back, empty where none does. `powersave` is the usual governor of
        drivers that choose the frequency themselves (intel_pstate, amd-pstate-epp); elsewhere it is the slowest."""
        chooses = self.driver in ("intel_pstate", "amd-pstate-epp")
        if self.governor == "powersave" and not chooses:
            return "governor powersave"
        if chooses and self.preference == "power":
            return "energy_performance_preference power"
        if self.profile in ("low-power", "quiet", "cool", "low power mode"):
            return f"profile {self.profile}"
        if self.turbo is False:
            return "no turbo"
        return ""


def read(reading: Reading) -> Power:
    if reading.system == "Darwin":
        return mach(reading.output("pmset", "-g", "batt"), reading.output("pmset", "-g"))
    battery, on_battery = _supplies(reading)
    policy = {name: reading.text(f"{POLICY}/{name}") for name in ("scaling_governor", "scaling_driver")}
    return Power(
        battery=battery,
        on_battery=on_battery,
        governor=policy["scaling_governor"],
        driver=policy["scaling_driver"],
        preference=reading.text(f"{POLICY}/energy_performance_preference"),
        profile=reading.text(PROFILE),
        frequency_allowed=_kilohertz(reading.text(f"{POLICY}/scaling_max_freq")),
        frequency_most=_kilohertz(reading.text(f"{POLICY}/cpuinfo_max_freq")),
        turbo=_turbo(reading.text(NO_TURBO), reading.text(BOOST)),
    )


def _supplies(reading: Reading) -> tuple[int | None, bool]:
    """The machine's own battery in percent, and whether it is being emptied; those of mice and pens do not count."""
    for name in reading.names(SUPPLIES):
        place = f"{SUPPLIES}/{name}"
        if reading.text(f"{place}/type") == "Battery" and reading.text(f"{place}/scope") != "Device":
            level = reading.text(f"{place}/capacity")
            if level.isdigit():
                return int(level), reading.text(f"{place}/status") == "Discharging"
    return None, False


def _kilohertz(text: str) -> int:
    return int(text) * 1000 if text.isdigit() else 0


def _turbo(no_turbo: str, boost: str) -> bool | None:
    if no_turbo:
        return no_turbo == "0"
    return boost == "1" if boost else None


def mach(batt: str, settings: str) -> Power:
    """From `pmset -g batt` and `pmset -g`."""
    level = re.search(r"InternalBattery.*?(\d+)%", batt)
    saving = re.search(r"^\s*(?:lowpowermode|powermode)\s+1\b", settings, re.MULTILINE)
    return Power(
        battery=int(level[1]) if level else None,
        on_battery="'Battery Power'" in batt,
        profile="low power mode" if saving else "",
    )
