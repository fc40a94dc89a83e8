from pathlib import Path

import pytest

from penjing.probe import disk


def test_a_disk_is_read_and_left_as_it_was(tmp_path: Path) -> None:
    rate = disk.read_rate(tmp_path, 8 << 20)
    assert rate
    assert 1e6 < rate < 1e12
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_or_place(tmp_path: Path) -> None:
    assert disk.read_rate(tmp_path, 1 << 50) is None
    assert disk.read_rate(tmp_path / "absent", 8 << 20) is None


def test_what_fails_in_between_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int) -> None:
        raise OSError

    monkeypatch.setattr(disk, "_timed", broken)
    assert disk.read_rate(tmp_path, 4 << 20) is None
    assert list(tmp_path.iterdir()) == []
