"""Versions on a disk and on a real web server."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from differing_models import changed, tensors, write_gguf
from penjing.manifest import Manifest
from penjing.progress import Progress
from penjing.sources.faults import NetworkError
from penjing.store import bundle
from penjing.store.faults import BadIndex, ForgedChunk, NearInStore, NotABundle, NotInStore, OnlyADifference
from penjing.store.fetch import Folder, Web, place
from penjing.store.versions import Store


@pytest.fixture
def other(tmp_path: Path) -> Store:
    """Two versions of one model, a tensor and the template apart."""
    made = Store(tmp_path / "other")
    for number, name in enumerate(((), ("blk.2.weight",))):
        path = write_gguf(tmp_path / "x.gguf", changed(tensors(), *name), template=f"{number}")
        made.add({"model.gguf": path}, Manifest(name="test", version=""), taking="move")
    made.tag("test", "stable", "test@1")
    return made


class Server(http.server.SimpleHTTPRequestHandler):
    """Files of a folder; every third request fails, and what was asked is counted."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if len(self.asked) % 3 == 0:
            self.send_response(503)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, format: str, *arguments: object) -> None: ...


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Its address, and what was asked."""
    handler = type("Counting", (Server,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler.asked
        server.shutdown()
        thread.join()


def test_carried_on_a_disk(store: Store, other: Store, tmp_path: Path) -> None:
    one, two = other.versions()
    written = bundle.export(other, [one], tmp_path / "usb")
    assert 0.99 * one.bytes < written <= one.bytes
    (made,) = bundle.take(store, Folder(tmp_path / "usb"))
    assert (made.digest, made.path.read_bytes()) == (one.digest, one.path.read_bytes())
    assert store.tags("test") == {"stable": 1}
    assert (made.folder / "origin").read_text().strip() == str(tmp_path / "usb")
    small = bundle.export(other, [two], tmp_path / "usb2", since=one)
    assert small < 0.2 * two.bytes
    (again,) = bundle.take(store, Folder(tmp_path / "usb2"), ["test@2"])
    assert again.path.read_bytes() == two.path.read_bytes()
    assert store.verify() == []


def test_what_is_there_is_not_written_again(other: Store, tmp_path: Path) -> None:
    one, two = other.versions()
    bundle.export(other, [one], tmp_path / "usb")
    assert bundle.export(other, [one], tmp_path / "usb") == 0
    assert bundle.export(other, [two], tmp_path / "usb") < 0.2 * two.bytes
    page = bundle.contents(Folder(tmp_path / "usb"))
    assert [(entry.number, entry.tags, entry.since) for entry in page.versions] == [(1, ("stable",), ""), (2, (), "")]


def test_a_difference_alone_is_no_use(store: Store, other: Store, tmp_path: Path) -> None:
    one, two = other.versions()
    bundle.export(other, [two], tmp_path / "usb", since=one)
    with pytest.raises(OnlyADifference):
        bundle.take(store, Folder(tmp_path / "usb"))


def test_from_a_version_at_rest(store: Store, other: Store, tmp_path: Path) -> None:
    other.tag("test", "stable", None)
    before = other.find("test@1").path.read_bytes()
    assert other.gc().rested == ("test@1",)
    bundle.export(other, [other.find("test@1")], tmp_path / "usb")
    (made,) = bundle.take(store, Folder(tmp_path / "usb"))
    assert made.path.read_bytes() == before
    assert not other.find("test@1").plain


def test_from_a_web_server(store: Store, other: Store, tmp_path: Path) -> None:
    bundle.export(other, other.versions(), tmp_path / "www")
    with served(tmp_path / "www") as (url, asked), place(url + "/") as web:
        (made,) = bundle.take(store, web, ["test"])
        assert made.digest == other.find("test@1").digest
        first = len(asked)
        (made,) = bundle.take(store, web, ["test:latest"])
        assert made.path.read_bytes() == other.find("test@2").path.read_bytes()
        assert len(asked) - first < first / 3
    assert store.verify() == []


def test_a_mirror_that_was_tampered_with(store: Store, other: Store, tmp_path: Path) -> None:
    bundle.export(other, other.versions(), tmp_path / "www")
    largest = max((tmp_path / "www/chunks").rglob("*"), key=lambda path: path.stat().st_size)
    largest.write_bytes(bytes(largest.stat().st_size))
    with served(tmp_path / "www") as (url, _), Web(url) as web, pytest.raises(ForgedChunk) as caught:
        bundle.take(store, web)
    assert caught.value.facts["source"] == url
    assert store.versions() == []


def test_tags_that_mean_something_here_stay(store: Store, other: Store, tmp_path: Path) -> None:
    bundle.export(other, other.versions(), tmp_path / "usb")
    usb = Folder(tmp_path / "usb")
    bundle.take(store, usb, ["test@2"])
    store.tag("test", "stable", "test@2")
    bundle.take(store, usb, ["test@1"])
    assert store.tags("test") == {"stable": 2}
    bundle.take(store, usb, ["test@1"], retag=True)
    assert store.tags("test") == {"stable": 1}


def test_places_that_are_none(store: Store, other: Store, tmp_path: Path) -> None:
    with pytest.raises(NotABundle):
        bundle.take(store, Folder(tmp_path))
    bundle.export(other, other.versions(), tmp_path / "usb")
    usb = Folder(tmp_path / "usb")
    with pytest.raises(NearInStore):
        bundle.take(store, usb, ["test@7"])
    (entry, _) = bundle.contents(usb).versions
    (tmp_path / "usb/versions" / entry.digest).write_bytes(b"no index")
    with pytest.raises(BadIndex):
        bundle.take(store, usb, ["test@1"])
    page = tmp_path / "usb/index.json"
    for wrong in ("{", '{"format": 2, "versions": []}', page.read_text().replace(entry.digest, "../../x")):
        page.write_text(wrong)
        with pytest.raises(BadIndex):
            bundle.take(store, usb)
    with served(tmp_path) as (url, _), Web(url) as web, pytest.raises(NotABundle):
        bundle.take(store, web)


def test_a_server_that_is_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_pause(seconds: float) -> None: ...

    monkeypatch.setattr("penjing.sources.client.asyncio.sleep", no_pause)
    with Web("http://127.0.0.1:9") as web, pytest.raises(NetworkError):
        bundle.take(store, web)


def test_exports_are_plain_json(other: Store, tmp_path: Path) -> None:
    bundle.export(other, other.versions(), tmp_path / "usb")
    page = json.loads((tmp_path / "usb/index.json").read_text())
    assert page["format"] == 1
    assert [entry["name"] for entry in page["versions"]] == ["test", "test"]


def test_a_version_that_is_removed_while_it_is_exported(other: Store, tmp_path: Path) -> None:
    """Its own chunks are nowhere any more; those it shares with the other are read from there."""
    one, two = other.versions()

    def removed(progress: Progress) -> None:
        if two in other.versions():
            other.remove(two)
            other.gc()

    with pytest.raises(NotInStore, match="test@2"):
        bundle.export(other, [two], tmp_path / "usb", report=removed)
    assert bundle.export(other, [one], tmp_path / "usb")
    assert [entry.number for entry in bundle.contents(Folder(tmp_path / "usb")).versions] == [1]
