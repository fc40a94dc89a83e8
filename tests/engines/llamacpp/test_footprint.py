import os
from pathlib import Path

from penjing.engines.llamacpp import footprint
from penjing.engines.llamacpp.footprint import Footprint

SMAPS = """\
7f0000000000-7f0000100000 r--s 00000000 08:01 42                 /models/a.gguf
Size:               1024 kB
KernelPageSize:        4 kB
Rss:                 512 kB
Private_Clean:       512 kB
Private_Dirty:         0 kB
VmFlags: rd mr me ms
7f0000200000-7f0000210000 rw-p 00000000 00:00 0                  [heap]
Size:                 64 kB
Rss:                  60 kB
Private_Clean:         0 kB
Private_Dirty:        60 kB
"""


def test_the_models_mapping_is_told_apart() -> None:
    kib = 1024
    assert footprint.parse(SMAPS, "/models/a.gguf") == Footprint(1024 * kib, 512 * kib, 572 * kib, 60 * kib)
    assert footprint.parse(SMAPS, "/models/b.gguf").mapped == 0


def test_of_a_process_that_is_gone() -> None:
    assert footprint.weigh(0, Path("a.gguf")) == Footprint()
    assert footprint.resident(0) == 0
    assert footprint.resident(2**22 + 1) == 0


def test_of_this_process() -> None:
    assert footprint.resident(os.getpid()) > 1 << 20
    assert footprint.weigh(os.getpid(), Path("a.gguf")).resident > 1 << 20
