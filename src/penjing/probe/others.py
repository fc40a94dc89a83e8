"""How much of the processor others take while something is measured: what a virtual machine's host took away counts.

Does not know: what is measured.
"""

from __future__ import annotations

import os
import time

import psutil

COUNTED_TWICE = ("idle", "iowait", "guest", "guest_nice")
"""Fields of the system's times that are no work, or are within others (proc(5))."""


class Others:
    """Counts from when it is made; `pids` and this process are not others. Without `polite` those that give way (their
    `nice` is above 0) do not count, unless this process is one of them."""

    def __init__(self, *pids: int, polite: bool = True) -> None:
        self._ours = (psutil.Process(), *(psutil.Process(pid) for pid in pids))
        everybody = polite or os.name != "posix" or self._ours[0].nice() > 0
        self._passed = COUNTED_TWICE if everybody else (*COUNTED_TWICE, "nice")
        self._began, self._taken = time.perf_counter(), self._seconds()

    def cores(self) -> float:
        """Cores that others kept busy on average since then, never below 0."""
        spent = time.perf_counter() - self._began
        return max(0.0, (self._seconds() - self._taken) / spent) if spent > 0 else 0.0

    def lap(self) -> float:
        """The same, and counting begins anew."""
        found = self.cores()
        self._began, self._taken = time.perf_counter(), self._seconds()
        return found

    def _seconds(self) -> float:
        times = psutil.cpu_times()._asdict()
        idle = sum(times.get(name, 0.0) for name in self._passed)
        mine = sum(process.cpu_times().user + process.cpu_times().system for process in self._ours)
        return float(sum(times.values()) - idle - mine)
