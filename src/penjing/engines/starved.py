"""Whether a process ended, or a request failed, for want of memory.

The kernel counts the processes it kills to free memory (`oom_kill` in /proc/vmstat, Linux 4.13 and later: the whole
machine's and a control group's limits alike); libraries that are refused memory say so before they give up.

Does not know: engines, who could do with less.
"""

from __future__ import annotations

import re
from pathlib import Path

KILLED = "killed by SIGKILL"
VMSTAT = Path("/proc/vmstat")
SAID = re.compile(
    r"bad_alloc|out of memory|out-of-memory|outofmemory|out ?of ?\w+ ?memory|cannot allocate memory"
    r"|failed to allocate|insufficient memory|not enough memory|unable to allocate",
    re.IGNORECASE,
)


def kills() -> int:
    """Processes killed for memory since the machine started; 0 where the system does not count them."""
    try:
        found = re.search(r"^oom_kill (\d+)$", VMSTAT.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def says(text: str) -> bool:
    """Whether `text` complains about memory.

    >>> says("ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 42"), says("no model")
    (True, False)
    """
    return SAID.search(text) is not None


def starved(how: str, words: str, kills_before: int) -> bool:
    """Whether memory ended a process that ended as `how` tells; `words` are its last, `kills_before` is what `kills`
    counted when it was started."""
    return (how == KILLED and kills() > kills_before) or says(words)
