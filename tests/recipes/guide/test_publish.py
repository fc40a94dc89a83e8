"""A model is put into the package whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipes.guide.publish import MANIFEST, publish

from recipes.guide import card


def ready(folder: Path, said: str) -> Path:
    folder.mkdir()
    for name in (*card.FILES, *card.CARDS.values(), MANIFEST):
        (folder / name).write_text(f"{said} {name}", encoding="utf-8")
    return folder


def test_every_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = ready(tmp_path / "package", "old")
    names = publish(ready(tmp_path / "ready", "new"), target)
    assert names[-1] == MANIFEST
    assert {p.name: p.read_text(encoding="utf-8") for p in target.iterdir()} == {n: f"new {n}" for n in names}


def test_a_missing_file_leaves_the_package_as_it_was(tmp_path: Path) -> None:
    source, target = ready(tmp_path / "ready", "new"), ready(tmp_path / "package", "old")
    (source / "guide.gguf").unlink()
    with pytest.raises(FileNotFoundError, match=r"guide\.gguf"):
        publish(source, target)
    assert all(p.read_text(encoding="utf-8").startswith("old") for p in target.iterdir())


def test_a_full_disk_leaves_the_package_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = ready(tmp_path / "ready", "new"), ready(tmp_path / "package", "old")
    written: list[int] = []

    def full(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("recipes.guide.publish.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        publish(source, target)
    assert all(p.read_text(encoding="utf-8").startswith("old") for p in target.iterdir())
