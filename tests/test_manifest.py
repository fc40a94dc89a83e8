from __future__ import annotations

from pathlib import Path

import pytest

from penjing import manifest
from penjing.errors import ModelCorrupt
from penjing.manifest import Manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "weights.gguf").write_bytes(b"GGUF" * 1000)
    entry = manifest.describe(tmp_path / "weights.gguf", tmp_path)
    manifest.save(Manifest(name="m", version="1", files=(entry,), quality={"perplexity": 3.5}), tmp_path)
    return tmp_path


def test_round_trip(folder: Path) -> None:
    read = manifest.load(folder)
    assert read.files[0].bytes == 4000
    assert read.quality == {"perplexity": 3.5}
    assert manifest.changed(read, folder) == []


@pytest.mark.parametrize(
    ("content", "said"), [(None, "is missing"), (b"short", "instead of 4000"), (b"GGUf" * 1000, "another SHA-256")]
)
def test_every_change_is_named(folder: Path, content: bytes | None, said: str) -> None:
    path = folder / "weights.gguf"
    path.unlink() if content is None else path.write_bytes(content)
    (found,) = manifest.changed(manifest.load(folder), folder)
    assert said in found


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name": 3}', b"\xff\xfe"])
def test_what_is_no_manifest(tmp_path: Path, content: bytes) -> None:
    (tmp_path / manifest.NAME).write_bytes(content)
    with pytest.raises(ModelCorrupt):
        manifest.load(tmp_path)


def test_no_manifest_at_all(tmp_path: Path) -> None:
    with pytest.raises(ModelCorrupt, match=r"manifest\.json"):
        manifest.load(tmp_path)
