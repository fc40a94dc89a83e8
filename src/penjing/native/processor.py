"""Which processor this is, as far as compiled code must know: a library made for one may end the process on another.

Does not know: how fast it is, how many cores it has (`penjing.probe`).
"""

from __future__ import annotations

import functools
import hashlib
import platform
import re
import subprocess
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
FACTS = ("model name", "flags", "Features", "CPU implementer", "CPU part", "isa")
"""Lines of /proc/cpuinfo, of x86, Arm and RISC-V."""
DIGITS = 12


@functools.cache
def identity() -> str:
    """12 hexadecimal digits over the processor's name and what it offers."""
    facts = (platform.system(), platform.machine(), *_facts())
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:DIGITS]


def _facts() -> tuple[str, ...]:
    try:
        first = CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
    except OSError:
        return (_brand() or platform.processor(),)
    found = (re.search(rf"^{name}\s*:\s*(.+)$", first, re.MULTILINE) for name in FACTS)
    return tuple(" ".join(sorted(match[1].split())) for match in found if match)


def _brand() -> str:
    """A Mac's processor."""
    try:
        asked = ("sysctl", "-n", "machdep.cpu.brand_string")
        return subprocess.run(asked, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
