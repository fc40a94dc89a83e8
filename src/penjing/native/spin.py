"""How long the threads of llama.cpp's library spin before they sleep: said before the library is loaded.

Does not know: the library. Nothing is imported here but the standard library's own: a worker's start counts every
millisecond.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

COUNT = "GOMP_SPINCOUNT"
SPIN_COUNT = "1000"
"""OpenMP threads spin this often before they sleep. Without a bound, two threads beside one busy program decode 60
times slower (1.6 tokens/s instead of 95 on two cores); with it nothing is lost on a quiet machine. OMP_WAIT_POLICY
beside it changes nothing."""

LONGER = "10000"
"""For a process that takes fewer threads beside a busy program: between two operations its threads then seldom
sleep."""


def longer() -> None:
    """Bound it for a process that adapts its threads. It has more of OpenMP's than cores, since those of the thread
    that loads the model stay: libgomp then lets all spin a hundred times only (libgomp/env.c,
    gomp_throttled_spin_count_var), unless waiting was said to be active; a step on two cores took half as long
    again."""
    if os.environ.get(COUNT, SPIN_COUNT) == SPIN_COUNT:  # which a parent of ours may have said
        os.environ[COUNT] = LONGER
    os.environ.setdefault("OMP_WAIT_POLICY", "active")


def stay_bound() -> None:
    """Bound it for all that this process loads from now on, unless a person has said something else. torch brings a
    libgomp of its own, which llama.cpp's library then shares; so it must be said before torch is loaded. 8 answers of
    the built-in model beside two busy programs took 1.15 s without, 0.43 s with it; training takes as long."""
    os.environ.setdefault(COUNT, SPIN_COUNT)


@contextmanager
def bound() -> Iterator[None]:
    """Bound it for the library that is loaded meanwhile, unless a person has said something else. libgomp reads it
    once, as it is loaded: what this process starts later, a worker of ours or somebody's server, does not inherit
    it."""
    if COUNT in os.environ:
        yield
        return
    os.environ[COUNT] = SPIN_COUNT
    try:
        yield
    finally:
        os.environ.pop(COUNT, None)
