"""Keeps what this process has in memory out of files: no core dumps, and on Linux no reading of its memory by other
programs of the same user (prctl(2), PR_SET_DUMPABLE; proc(5), /proc/PID/mem and /proc/PID/fd).

Does not know: what is in memory.
"""

from __future__ import annotations

import sys

PR_SET_DUMPABLE = 4


def guard() -> None:
    """From now on, for this process; the limit on core dumps also for those it starts."""
    if sys.platform == "win32":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
