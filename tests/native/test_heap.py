from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from penjing.native import heap

PROGRAM = """
import psutil
from penjing.native import heap
many = [bytes(1000 + each % 3) for each in range(60_000)]
last = bytes(1000)  # what lies before it is not given back by itself
held = psutil.Process().memory_info().rss
del many
assert heap.trim()
print(held - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library does it by itself")
def test_what_was_freed_goes_back() -> None:
    said = subprocess.run((sys.executable, "-c", PROGRAM), capture_output=True, text=True, check=True, timeout=60)
    assert int(said.stdout) > 40 << 20


def test_where_nothing_is_to_be_given_back_nothing_happens() -> None:
    assert heap.trim() in (True, False)
