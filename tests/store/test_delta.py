"""From one store to another by what is missing there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from differing_models import changed, tensors, write_gguf
from penjing.errors import DiskFull
from penjing.manifest import Manifest
from penjing.store import delta, index, places
from penjing.store.faults import BadFilePath, BadIndex, ForgedChunk, LostChunks, NotAsItsManifest
from penjing.store.index import Chunk, Cuts, Index, Layout
from penjing.store.places import Reader
from penjing.store.version import Version
from penjing.store.versions import Store


class From:
    """Chunks of another store, counted; `limit` of them and then the line is cut."""

    def __init__(self, store: Store, limit: int = 1 << 30) -> None:
        self.store, self.limit = store, limit
        self.given: list[Chunk] = []

    def __str__(self) -> str:
        return "the other store"

    def __call__(self, chunks: Sequence[Chunk]) -> Iterator[bytes]:
        where = places.everywhere(self.store)
        with Reader() as reader:
            for chunk in chunks:
                if len(self.given) >= self.limit:
                    raise ConnectionResetError
                self.given.append(chunk)
                content = reader.whole(chunk, where[chunk.digest])
                assert content is not None
                yield content

    @property
    def bytes(self) -> int:
        return sum(chunk.bytes for chunk in self.given)


@pytest.fixture
def other(tmp_path: Path) -> Store:
    """A store with two versions, one tensor and the template apart, and a small file beside."""
    made = Store(tmp_path / "other")
    note = tmp_path / "README.md"
    note.write_text("read me")
    empty = tmp_path / "empty"
    empty.touch()
    for number, name in enumerate(((), ("blk.2.weight",))):
        path = write_gguf(tmp_path / "x.gguf", changed(tensors(), *name), template=f"{number}")
        files = {"model.gguf": path, "docs/README.md": note, "empty": empty}
        made.add(files, Manifest(name="test", version="", quality={"number": number}), taking="copy")
    return made


def travelled(version: Version) -> Index:
    return index.decode(index.encode(delta.index(version)), "a test")


def test_only_what_is_missing(store: Store, other: Store) -> None:
    one, two = other.versions()
    first = From(other)
    made = delta.assemble(store, travelled(one), first)
    assert first.bytes == one.bytes
    assert (str(made), made.digest, made.manifest) == (str(one), one.digest, one.manifest)
    assert (made.folder / "docs/README.md").read_text() == "read me"
    wanted = delta.missing(store, travelled(two))
    second = From(other)
    stages: list[str] = []
    again = delta.assemble(store, travelled(two), second, lambda progress: stages.append(progress.stage))
    assert second.given == wanted
    tensor = 320 * 1024 * 4
    assert tensor < second.bytes < tensor + 20_000
    assert again.path.read_bytes() == two.path.read_bytes()
    assert set(stages) == {"fetching", "assembling"}
    assert store.verify() == []
    assert delta.assemble(store, travelled(two), From(other, 0)) == again  # nothing is asked for twice


def test_the_index_is_small(other: Store) -> None:
    version = other.versions()[0]
    encoded = index.encode(delta.index(version))
    manifest = (version.folder / "manifest.json").stat().st_size
    assert len(encoded) < manifest + 37 * len(version.cuts().chunks()) + 200


def test_cut_short_and_gone_on(store: Store, other: Store) -> None:
    described = travelled(other.versions()[0])
    first = From(other, 5)
    with pytest.raises(ConnectionResetError):
        delta.assemble(store, described, first)
    assert store.versions() == []
    second = From(other)
    delta.assemble(store, described, second)
    assert not set(first.given) & set(second.given)
    assert store.verify() == []
    assert [path.name for path in store.staging.iterdir() if path.suffix != ".lock"] == []


def test_forged_chunks_are_refused(store: Store, other: Store) -> None:
    described = travelled(other.versions()[0])

    def forged(chunks: Sequence[Chunk]) -> Iterator[bytes]:
        for number, content in enumerate(From(other)(chunks)):
            yield content if number != 7 else content[:-1] + b"!"

    with pytest.raises(ForgedChunk):
        delta.assemble(store, described, forged)
    assert store.versions() == []
    made = delta.assemble(store, described, From(other))
    assert made.path.read_bytes() == other.versions()[0].path.read_bytes()


def test_a_source_that_stops(store: Store, other: Store) -> None:
    described = travelled(other.versions()[0])

    def short(chunks: Sequence[Chunk]) -> Iterator[bytes]:
        return iter(list(From(other)(chunks))[:-1])

    with pytest.raises(LostChunks):
        delta.assemble(store, described, short)


def test_an_index_that_lies_about_a_file(store: Store, other: Store) -> None:
    """Chunks that are all as they should be, in another order than the manifest's file."""
    true = travelled(other.versions()[0])
    parts = [(layout.path, chunks) for layout, chunks in true.cuts.per_file()]
    parts = [(path, list(reversed(chunks))) for path, chunks in parts]
    lying = msgspec.structs.replace(true, cuts=index.joined(parts))
    with pytest.raises(NotAsItsManifest):
        delta.assemble(store, lying, From(other))
    assert store.versions() == []
    delta.assemble(store, true, From(other))
    assert store.verify() == []


def test_damage_here_is_fetched_again(store: Store, other: Store) -> None:
    one, two = other.versions()
    made = delta.assemble(store, travelled(one), From(other))
    made.path.chmod(0o600)
    with made.path.open("r+b") as stream:
        stream.seek(-2_000_000, 2)
        stream.write(b"damage")
    fetched = From(other)
    again = delta.assemble(store, travelled(two), fetched)
    assert again.path.read_bytes() == two.path.read_bytes()
    assert len(fetched.given) == len({*fetched.given})


def test_a_file_of_another_name_is_shared(store: Store, other: Store) -> None:
    one = other.versions()[0]
    made = delta.assemble(store, travelled(one), From(other))
    renamed = other.add({"other.gguf": one.path}, Manifest(name="renamed", version="7"))
    again = delta.assemble(store, travelled(renamed), From(other, 0))
    assert again.path.samefile(made.path)


def test_a_number_that_is_taken(store: Store, other: Store, tmp_path: Path) -> None:
    path = tmp_path / "own"
    path.write_text("mine")
    for number in range(2):
        store.add({"own": path}, Manifest(name="test", version="", facts={"number": number}))
    store.remove("test@1")
    one, two = other.versions()
    assert delta.assemble(store, travelled(one), From(other)).number == 1
    assert delta.assemble(store, travelled(two), From(other)).number == 3
    assert delta.assemble(store, travelled(two), From(other, 0)).number == 3


def test_no_room(store: Store, other: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    described = travelled(other.versions()[0])
    disk = __import__("shutil").disk_usage(store.root.parent)
    monkeypatch.setattr("shutil.disk_usage", lambda path: disk._replace(free=1_000_000))
    with pytest.raises(DiskFull):
        delta.assemble(store, described, From(other))


def lies(true: Index) -> Iterator[Index]:
    cuts, replace = true.cuts, msgspec.structs.replace
    first, *rest = cuts.files
    for wrong in (
        replace(cuts, format=2),
        replace(cuts, digests=cuts.digests[:-1]),
        replace(cuts, lengths=cuts.lengths[:-4]),
        replace(cuts, lengths=b"\0\0\0\0" + cuts.lengths[4:]),
        replace(cuts, files=tuple(rest)),
        replace(cuts, files=(replace(first, bytes=first.bytes + 1), *rest)),
        replace(cuts, files=(replace(first, chunks=-1), *rest)),
        replace(cuts, files=(replace(first, path="../x"), *rest)),
    ):
        yield replace(true, cuts=wrong)
    yield replace(true, manifest=b"{")
    yield replace(true, manifest=true.manifest.replace(b'"test"', b'"best"'))


def test_an_index_that_cannot_be(store: Store, other: Store) -> None:
    for wrong in lies(travelled(other.versions()[0])):
        if b"best" not in wrong.manifest:
            with pytest.raises(BadIndex):
                index.decode(index.encode(wrong), "a test")
        with pytest.raises(BadIndex):
            delta.assemble(store, wrong, From(other))
    manifest = b'{"name": "x", "version": "1", "files": [{"path": "../x", "bytes": 0, "sha256": ""}]}'
    escaping = Index(1, "x", 1, manifest, Cuts(1, (Layout("../x", 0, 0),), b"", b""))
    with pytest.raises(BadFilePath):
        delta.assemble(store, escaping, From(other))


@given(st.binary(max_size=200))
def test_any_bytes_as_an_index(content: bytes) -> None:
    with pytest.raises((BadIndex, BadFilePath)):
        index.decode(content, "a test")
