from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fleet.adversity import mirror
from penjing.errors import PenjingError
from penjing.fleet.mirrors import Mirrors
from penjing.sources.faults import NetworkError
from penjing.store import bundle
from penjing.store.chunks import sha256
from penjing.store.faults import ForgedChunk, NotABundle
from penjing.store.fetch import Folder, path_of
from penjing.store.index import Chunk
from penjing.store.versions import Store


@pytest.fixture
def place(store: Store, versions: list[str], tmp_path: Path) -> Path:
    bundle.export(store, [store.find("m@1")], tmp_path / "place")
    return tmp_path / "place"


@pytest.fixture
def chunks(store: Store, versions: list[str]) -> list[Chunk]:
    return list(dict.fromkeys(store.find("m@1").cuts().chunks()))


def copied(place: Path, to: Path) -> Path:
    import shutil

    return Path(shutil.copytree(place, to))


def fetched(mirrors: Mirrors, chunks: Sequence[Chunk]) -> list[bytes]:
    with mirrors:
        return [sha256(memoryview(content)) for content in mirrors(chunks)]


def test_the_first_that_has_them_gives_them(place: Path, chunks: list[Chunk], tmp_path: Path) -> None:
    heard: list[PenjingError] = []
    with mirror(place) as url:
        made = Mirrors([url], Folder(tmp_path / "nothing"), "m", heard.append)
        assert fetched(made, chunks) == [chunk.digest for chunk in chunks]
    assert heard == []
    assert made.moved == sum(chunk.bytes for chunk in chunks)


@pytest.mark.parametrize("what", ["forged", "shorter", "missing"])
def test_one_that_fails_is_named_and_left(what: str, place: Path, chunks: list[Chunk], tmp_path: Path) -> None:
    lies = copied(place, tmp_path / "lies")
    path = lies / path_of(chunks[5])
    content = path.read_bytes()
    path.unlink()
    if what != "missing":
        path.write_bytes(content[:-1] if what == "shorter" else content[:-1] + bytes([255 - content[-1]]))
    heard: list[PenjingError] = []
    with mirror(lies) as url:
        made = Mirrors([url], Folder(place), "m", heard.append)
        assert fetched(made, chunks) == [chunk.digest for chunk in chunks]
    (fault,) = heard
    assert isinstance(fault, NotABundle if what == "missing" else ForgedChunk)
    assert url in str(fault)
    assert made.moved == sum(chunk.bytes for chunk in chunks)


def test_one_that_is_away_is_left(place: Path, chunks: list[Chunk]) -> None:
    heard: list[PenjingError] = []
    made = Mirrors(["http://127.0.0.1:9"], Folder(place), "m", heard.append)
    assert fetched(made, chunks) == [chunk.digest for chunk in chunks]
    assert isinstance(heard[0], NetworkError)


def test_the_last_one_must_be_right(place: Path, chunks: list[Chunk]) -> None:
    (place / path_of(chunks[0])).write_bytes(b"other")
    with Mirrors([], Folder(place), "m", lambda fault: None) as made, pytest.raises(ForgedChunk):
        next(made(chunks))
