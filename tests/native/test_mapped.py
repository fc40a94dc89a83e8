"""Pages of a file leave this process and come back when they are read."""

import mmap
import os
import sys
from pathlib import Path

import pytest

from penjing.engines.llamacpp.footprint import weigh
from penjing.native.mapped import let_go, mappings

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="madvise(2) and /proc are Linux's")
SIZE = 4 << 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a file with spaces"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    return path


def resident(path: Path) -> int:
    return weigh(os.getpid(), path).mapped_resident


def test_pages_go_and_come_back(file: Path) -> None:
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert len(bytes(mapped)) == resident(file) == SIZE
        assert let_go(file) == SIZE
        assert resident(file) == 0
        assert bytes(mapped) == file.read_bytes()
        assert resident(file) == SIZE
    assert mappings(file) == []


def test_what_was_written_stays(file: Path) -> None:
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        mapped[:4] = b"mine"
        assert let_go(file) == 0
        assert mapped[:4] == b"mine"
