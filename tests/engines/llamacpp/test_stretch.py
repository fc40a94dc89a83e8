from pathlib import Path

import pytest

from penjing.engines.llamacpp import stretch
from penjing.errors import DiskFull, ModelUnsupported
from penjing.probe import model
from tiny_model import write_tiny_gguf


def test_only_the_context_differs(tiny: Path, own_home: Path) -> None:
    longer = stretch.stretched(tiny, 1024)
    assert longer.is_relative_to(own_home)
    before, after = tiny.read_bytes(), longer.read_bytes()
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1  # 512 and 1024 differ in one byte
    assert model.read(longer).context == 1024


def test_made_once(tiny: Path) -> None:
    first = stretch.stretched(tiny, 1024)
    made = first.stat().st_mtime_ns
    assert stretch.stretched(tiny, 1024) == first
    assert first.stat().st_mtime_ns == made
    assert stretch.stretched(tiny, 2048) != first


def test_copied_by_hand_where_the_kernel_refuses(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.copy_file_range", refuse, raising=False)
    assert model.read(stretch.stretched(tiny, 1024)).context == 1024


def test_no_room_leaves_nothing(tiny: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.copy_file_range", full, raising=False)
    with pytest.raises(DiskFull):
        stretch.stretched(tiny, 1024)
    assert not list((own_home / "cache" / "stretched").iterdir())


def test_a_header_without_context_cannot_be_stretched(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "odd.gguf")
    path.write_bytes(path.read_bytes().replace(b"llama.context_length", b"llama.context_lengtX", 1))
    with pytest.raises(ModelUnsupported, match="--rope-scale"):
        stretch.stretched(path, 1024)
