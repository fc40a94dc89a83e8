"""Energy that was used while something ran, where the system tells.

Sources: Linux powercap's RAPL counters (Documentation/power/powercap/powercap.rst: `energy_uj` of package zones, which
wraps at `max_energy_range_uj`), a battery that is being emptied (sysfs-class-power), `nvidia-smi` for its boards.

Does not know: what ran. Other programs' share is in it as well.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

ZONES = Path("/sys/class/powercap")
SUPPLIES = Path("/sys/class/power_supply")
NVIDIA = ("nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits")
PATIENCE = 5.0
UNTOLD = "this system does not tell its power"
UNREADABLE = "the processor's energy counters may only be read by root (/sys/class/powercap)"


@dataclass(frozen=True)
class Energy:
    """`watts` in the mean of the time measured, None where nobody tells; `source` is who told, or why nobody does (a
    template)."""

    watts: float | None
    source: str


class Meter:
    """Reads counters when it is made, and again at `read`."""

    def __init__(self, zones: Path = ZONES, supplies: Path = SUPPLIES) -> None:
        self._supplies = supplies
        self._denied = False
        self._packages = [zone for zone in sorted(zones.glob("*-rapl:*")) if zone.name.count(":") == 1]
        self._before = self._joules()
        self._began = time.perf_counter()

    def read(self) -> Energy:
        """The mean power since the meter was made."""
        seconds = time.perf_counter() - self._began
        gpu = boards()
        after = self._joules()
        if after and len(after) == len(self._before) and seconds > 0:
            used = sum(_since(*pair) for pair in zip(self._before, after, strict=True))
            return Energy(used / seconds + (gpu or 0.0), "RAPL" if gpu is None else "RAPL, nvidia-smi")
        if gpu is not None:
            return Energy(gpu, "nvidia-smi")
        drawn = self._battery()
        if drawn is not None:
            return Energy(drawn, "battery")
        return Energy(None, UNREADABLE if self._denied else UNTOLD)

    def _joules(self) -> list[tuple[float, float]]:
        """Of each package what its counter shows, and where that begins anew; empty where they cannot be read."""
        try:
            return [(_micro(zone / "energy_uj"), _micro(zone / "max_energy_range_uj")) for zone in self._packages]
        except PermissionError:
            self._denied = True
        except (OSError, ValueError):
            pass
        return []

    def _battery(self) -> float | None:
        """Watts that leave a battery which is not being charged."""
        drawn = map(_drawn, sorted(self._supplies.glob("*")))
        return next((watts for watts in drawn if watts is not None), None)


def _drawn(supply: Path) -> float | None:
    """Watts that leave one battery; None where it is none, is charged, or does not tell."""
    try:
        kind, status = ((supply / name).read_text().strip() for name in ("type", "status"))
        if kind != "Battery" or status != "Discharging":
            return None
        if (supply / "power_now").exists():
            return abs(_micro(supply / "power_now"))
        return abs(_micro(supply / "current_now") * _micro(supply / "voltage_now"))
    except (OSError, ValueError):
        return None


def _micro(path: Path) -> float:
    """A file that counts millionths."""
    return int(path.read_text()) / 1e6


def _since(before: tuple[float, float], after: tuple[float, float]) -> float:
    used = after[0] - before[0]
    return used if used >= 0 else used + before[1]


def boards() -> float | None:
    """Watts of all NVIDIA boards now; None without any."""
    try:
        done = subprocess.run(NVIDIA, capture_output=True, text=True, timeout=PATIENCE, check=True)
        return sum(float(line) for line in done.stdout.split()) if done.stdout.strip() else None
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
