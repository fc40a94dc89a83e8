from __future__ import annotations

from pathlib import Path

import pytest

from penjing.store import cache, cached
from penjing.store.lease import Lease
from tiny_model import write_tiny_gguf


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tiny_gguf(tmp_path / "model.gguf")


def converted(source: Path) -> Path:
    return cache.made(cache.key(source, [source], "quantize 8"), write_tiny_gguf)


def test_it_stays_while_its_source_does(source: Path) -> None:
    path = converted(source)
    assert cached.collect() == []
    assert cached.usage() >= path.stat().st_size
    source.unlink()
    (dropped,) = cached.collect(dry=True)
    assert (dropped.path, dropped.source, dropped.used) == (path, str(source), False)
    assert path.exists()
    assert cached.collect() == [dropped]
    assert list(path.parent.glob("*.gguf")) == []
    assert cached.collect() == []


def test_a_source_that_changed(source: Path) -> None:
    converted(source)
    source.write_bytes(source.read_bytes() + b" ")
    assert [dropped.source for dropped in cached.collect()] == [str(source)]


def test_the_next_conversion_takes_the_note_along(source: Path) -> None:
    first = converted(source)
    source.write_bytes(source.read_bytes() + bytes(32))
    second = converted(source)
    assert {path.name for path in second.parent.iterdir() if path.suffix != ".lock"} == {
        second.name,
        second.name + ".source",
    }
    assert first != second
    assert cached.collect() == []


def test_a_folder_is_there_or_not(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "a").write_bytes(b"a")
    cache.made(cache.key(folder, [folder / "a"], "own 8"), write_tiny_gguf)
    assert cached.collect() == []
    (folder / "a").unlink()
    folder.rmdir()
    assert len(cached.collect()) == 1


def test_what_an_engine_uses_stays(source: Path) -> None:
    path = converted(source)
    source.unlink()
    lease = Lease(path)
    assert [dropped.used for dropped in cached.collect()] == [True]
    assert path.exists()
    lease.end()
    assert [dropped.used for dropped in cached.collect()] == [False]
    assert not path.exists()


def test_nobody_knows_what_it_was_made_of(home: Path) -> None:
    """Whoever made it was killed before, or somebody put it there."""
    stray = home / "cache" / "stretched" / "stray.gguf"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"GGUF")
    (stray.parent / "lone.gguf.source").write_text('{"path": "/nowhere"}')
    (stray.parent / "odd.gguf.source").write_text("no JSON")
    assert [(dropped.path, dropped.source) for dropped in cached.collect()] == [(stray, "")]
    assert list(stray.parent.iterdir()) == []
