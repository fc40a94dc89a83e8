"""From a reference to a version that an engine loads, over real sockets."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import modelscope_server
from model_hub import COMMIT, Hub, Repository, git_digest, serving
from penjing.errors import DiskFull, ModelCorrupt
from penjing.manifest import Manifest
from penjing.progress import Progress
from penjing.sources import source as sources
from penjing.sources.client import Client
from penjing.sources.faults import Gated, NoSuchQuantization, SourceFailed, WrongLength
from penjing.sources.names import Reference
from penjing.sources.patience import Patience
from penjing.sources.source import Listing, RemoteFile
from penjing.store.download import WrongDigest
from penjing.store.order import order
from penjing.store.pull import Pulled, Way, WouldOverwrite, pull
from penjing.store.resolve import resolve
from penjing.store.version import Version
from penjing.store.versions import Store
from tiny_checkpoint import write_checkpoint
from tiny_model import Shape, split_gguf, write_tiny_gguf

WAY = Way(patience=Patience(first=0.01, most=0.02, jitter=0.0, silence=2.0))
Disk = namedtuple("Disk", "total used free")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_tiny_gguf(tmp_path_factory.mktemp("tiny") / "t.gguf", Shape(layers=4, width=128)).read_bytes()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, whole: bytes) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HF_HUB_CACHE", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    for name, folder in (("PENJING_HOME", "home"), ("HF_HOME", "none"), ("HOME", "person")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    files = {"t-F32.gguf": whole, "README.md": b"# t", "config.json": b"{}"}
    repositories = {"o/r-GGUF": Repository(files), "o/gated": Repository(dict(files), gated=True)}
    with serving(repositories) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def pulled(text: str, output: Path | None = None, way: Way = WAY) -> Pulled:
    return pull(order(text), output=output, way=way)


def test_a_model_comes_whole_into_the_store_and_is_loaded_by_its_name(hub: Hub, whole: bytes) -> None:
    done = pulled("hf:o/r-GGUF")
    assert done.version is not None
    assert (str(done.version), done.order.called) == ("o/r-gguf@1", "o/r-gguf:f32")
    assert done.path.read_bytes() == whole
    assert (done.moved, done.linked, done.known) == (len(whole), 0, False)
    manifest = done.manifest
    assert (manifest.licence, manifest.facts["architecture"], manifest.facts["quantization"]) == (
        "apache-2.0",
        "llama",
        "F32",
    )
    assert manifest.recipe["source"] == f"hf:o/r-GGUF@{COMMIT}"
    assert manifest.files[0].sha256 == hashlib.sha256(whole).hexdigest()
    assert resolve("O/r-GGUF:F32").path == done.path
    assert not list((Store().root / "staging").glob("kept-*[!k]"))


def test_what_is_here_is_not_fetched_again_and_a_new_revision_is_another_version(hub: Hub, tmp_path: Path) -> None:
    first = pulled("hf:o/r-GGUF")
    before = hub.moved
    again = pulled("hf:o/r-GGUF")
    assert (again.known, again.version, hub.moved) == (True, first.version, before)
    hub.repositories["o/r-GGUF"].files["t-F32.gguf"] = write_tiny_gguf(tmp_path / "2.gguf").read_bytes()
    newer = pulled("hf:o/r-GGUF")
    assert str(newer.version) == "o/r-gguf@2"
    assert resolve("o/r-gguf:f32").path == newer.path


def test_a_file_that_another_model_of_the_store_has_is_not_fetched(hub: Hub) -> None:
    first = pulled("hf:o/r-GGUF")
    hub.repositories["p/copy"] = hub.repositories["o/r-GGUF"]
    second = pulled("hf:p/copy")
    assert (second.moved, second.linked) == (0, first.order.bytes)
    assert first.path.samefile(second.path)


def test_shards_and_a_projector_come_together(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "split").mkdir()
    split_gguf(write_tiny_gguf(tmp_path / "t.gguf"), tmp_path / "split", 3)
    files = {f"F32/{path.name}": path.read_bytes() for path in (tmp_path / "split").iterdir()}
    hub.repositories["o/split"] = Repository({**files, "mmproj-t-f16.gguf": write_projector(tmp_path / "p")})
    done = pulled("hf:o/split")
    assert len(done.manifest.files) == 4
    assert done.path.name == "t-00001-of-00003.gguf"
    assert resolve("o/split").path == done.path


def write_projector(path: Path) -> bytes:
    import gguf

    writer = gguf.GGUFWriter(path, "clip")
    writer.add_uint32("clip.vision.block_count", 1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path.read_bytes()


def test_a_checkpoint_is_converted_when_it_is_used(hub: Hub, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint")
    hub.repositories["o/tiny"] = Repository(
        {path.name: path.read_bytes() for path in folder.iterdir()} | {"pytorch_model.bin": b"x" * 999, "run.py": b"no"}
    )
    done = pulled("hf:o/tiny")
    assert done.order.choice.reason == "checkpoint"
    assert {entry.path for entry in done.manifest.files} == {path.name for path in folder.iterdir()}
    assert resolve("o/tiny").path.suffix == ".gguf"


def test_a_file_of_the_persons_own(hub: Hub, tmp_path: Path) -> None:
    mine = write_tiny_gguf(tmp_path / "My Model.gguf")
    done = pulled(f"file:{mine}")
    assert (done.order.name, done.moved, done.linked) == ("my-model", 0, mine.stat().st_size)
    assert done.path.samefile(mine)


def test_from_modelscope(hub: Hub, monkeypatch: pytest.MonkeyPatch, whole: bytes) -> None:
    with modelscope_server.serving({"t-F32.gguf": whole}) as server:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", server.url)
        done = pulled("ms:o/r")
    assert (done.path.read_bytes(), done.manifest.licence) == (whole, "apache license 2.0")


def test_from_an_address_with_a_digest(hub: Hub, whole: bytes) -> None:
    address = f"{hub.url}/o/r-GGUF/resolve/main/t-F32.gguf"
    with pytest.raises(WrongDigest):
        pulled(f"{address}#sha256={'0' * 64}")
    done = pulled(f"{address}#sha256={hashlib.sha256(whole).hexdigest()}")
    assert (done.order.called, done.path.read_bytes()) == ("t-f32", whole)
    assert pulled(address).known


def test_from_a_server_that_knows_neither_ranges_nor_digests(hub: Hub, tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "t.gguf").write_bytes(whole)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Plain, directory=str(tmp_path / "www"))) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/t.gguf"
            done = pulled(address)
            assert (done.path.read_bytes(), done.moved) == (whole, len(whole))
            assert not pulled(address).known  # nobody can say that it is the same
        finally:
            server.shutdown()


class Plain(SimpleHTTPRequestHandler):
    """Python's own server, silent."""

    def log_message(self, *words: object) -> None: ...


@pytest.mark.parametrize("fault", ["damaged", "short", "broken"])
def test_what_is_not_as_its_source_says_is_not_kept(hub: Hub, fault: str) -> None:
    wanted = order("hf:o/r-GGUF")
    kinds = {"damaged": WrongDigest, "short": WrongLength, "broken": SourceFailed}
    if fault == "damaged":
        hub.faults.damaged = {"t-F32.gguf"}
    elif fault == "short":
        hub.faults.short = 100
    else:
        hub.faults.statuses = [("store", 503, {})] * 200
    with pytest.raises(kinds[fault]):
        pull(wanted, way=WAY)
    assert Store().versions() == []
    hub.faults.damaged, hub.faults.short, hub.faults.statuses = set(), 0, []
    assert pull(wanted, way=WAY).version is not None


def test_a_damaged_model_is_refused_even_where_its_digest_is_right(hub: Hub, whole: bytes) -> None:
    hub.repositories["o/r-GGUF"].files["t-F32.gguf"] = whole[:300] + b"\xff" * 100 + whole[400:]
    with pytest.raises(ModelCorrupt):
        pulled("hf:o/r-GGUF")
    assert Store().versions() == []


def test_a_gated_model_is_explained_and_a_token_opens_it(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Gated, match="No token") as refused:
        pulled("hf:o/gated")
    assert f"{hub.url}/o/gated" in refused.value.advice("en")
    assert "HF_TOKEN" in refused.value.advice("en")
    hub.repositories["o/gated"].token = "t0ken"
    monkeypatch.setenv("HF_TOKEN", "wr0ng")
    with pytest.raises(Gated, match="account"):
        pulled("hf:o/gated")
    monkeypatch.setenv("HF_TOKEN", "t0ken")
    assert pulled("hf:o/gated").order.listing.gated


def test_the_disk_is_looked_at_before(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = order("hf:o/r-GGUF")
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(10, 10, 1000))
    before = hub.moved
    with pytest.raises(DiskFull, match=r"1\.0 KB"):
        pull(wanted, way=WAY)
    assert hub.moved == before
    monkeypatch.setattr(shutil, "disk_usage", real)
    pull(wanted, way=WAY)


def test_into_a_folder(hub: Hub, tmp_path: Path, whole: bytes) -> None:
    out = tmp_path / "out"
    done = pulled("hf:o/r-GGUF", out)
    assert done.path == out / "t-F32.gguf"
    assert done.path.read_bytes() == whole
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "t-F32.gguf"]
    assert Store().versions() == []
    pulled("hf:o/r-GGUF", out)  # the same again
    (out / "t-F32.gguf").write_bytes(b"mine")
    with pytest.raises(WouldOverwrite):
        pulled("hf:o/r-GGUF", out)
    (out / "t-F32.gguf").write_bytes(whole[:-1] + b"!")
    with pytest.raises(WouldOverwrite):
        pulled("hf:o/r-GGUF", out)
    assert (out / "t-F32.gguf").read_bytes() == whole[:-1] + b"!"


def test_files_of_the_store_are_copied_into_a_folder(hub: Hub, tmp_path: Path) -> None:
    kept = pulled("hf:o/r-GGUF")
    done = pulled("hf:o/r-GGUF", tmp_path / "out")
    assert done.linked == kept.order.bytes
    assert not done.path.samefile(kept.path)


class Enough(Exception):
    pass


@pytest.mark.parametrize("into", ["store", "folder"])
def test_stopped_and_gone_on_with(hub: Hub, tmp_path: Path, whole: bytes, into: str) -> None:
    output = tmp_path / "out" if into == "folder" else None
    wanted = order("hf:o/r-GGUF")
    hub.faults.pause, hub.faults.block = 0.01, 1 << 14

    def report(progress: Progress) -> None:
        if progress.fraction > 0.4:
            raise Enough

    with pytest.raises(Enough):
        pull(wanted, output=output, way=replace(WAY, report=report))
    hub.faults.pause, before = 0.0, hub.moved
    assert pull(wanted, output=output, way=WAY).path.read_bytes() == whole
    assert hub.moved - before < 0.8 * len(whole)


def test_small_files_are_known_by_gits_digest(hub: Hub, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.repositories["o/tiny"] = Repository(files)
    pulled("hf:o/tiny")
    assert git_digest(files["config.json"])
    assert pulled("hf:o/tiny").known
    files["config.json"] = files["config.json"].replace(b"}", b" }")
    assert not pulled("hf:o/tiny").known


def test_a_name_of_ones_own(hub: Hub) -> None:
    done = pull(order("hf:o/r-GGUF", name="Mine:best"), way=WAY)
    assert done.order.called == "mine:best"
    assert resolve("mine:best").path == done.path


def test_a_quantization_that_is_not_there(hub: Hub) -> None:
    with pytest.raises(NoSuchQuantization, match="Q2_K"):
        order("hf:o/r-GGUF:Q2_K")


class Bringing:
    """A source that keeps versions itself."""

    def __init__(self, made: Version) -> None:
        self.made = made

    async def listing(self, reference: Reference, client: Client) -> Listing:
        return Listing(reference, "7", (RemoteFile("m.gguf", 1, "http://127.0.0.1:9/m.gguf"),))

    def bring(self, reference: Reference, store: Store, report: object) -> tuple[Version, int]:
        assert reference.scheme == "hub"
        return self.made, 5


def test_a_source_that_brings_versions_itself_does_so(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Store().add({"m.gguf": write_tiny_gguf(tmp_path / "m.gguf")}, Manifest(name="mine", version=""))
    monkeypatch.setattr(sources, "source", lambda reference: Bringing(made))
    done = pulled("hub:mine")
    assert (done.version, done.moved, done.path) == (made, 5, made.path)
