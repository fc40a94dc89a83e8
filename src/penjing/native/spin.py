"""How long the threads of llama.cpp's library spin before they sleep: said before the library is loaded.

Does not know: the library. Nothing is imported here but the standard library's `os`: a worker's start counts every
millisecond.
"""

from __future__ import annotations

import os

SPIN_COUNT = "1000"
"""OpenMP threads spin this often before they sleep. Without a bound, two threads beside one busy program decode 60
times slower (1.6 tokens/s instead of 95 on two cores); with it nothing is lost on a quiet machine. OMP_WAIT_POLICY
beside it changes nothing."""


def bound() -> None:
    """Bound it for this process, unless a person has said something else."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
