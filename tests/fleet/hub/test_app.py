from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest
from starlette.testclient import TestClient

from penjing.fleet.hub.app import app
from penjing.fleet.hub.blobs import Disk
from penjing.fleet.hub.ledger import Ledger
from penjing.fleet.hub.sending import FOREVER
from penjing.fleet.wire import Enrolment, Wish
from penjing.store import bundle, delta, index
from penjing.store.version import Version
from penjing.store.versions import Store

KEY = {"Authorization": "Bearer secret"}


@pytest.fixture
def client(ledger: Ledger, tmp_path: Path) -> TestClient:
    ledger.admit_publisher("admin", "secret")
    return TestClient(app(ledger, Disk(tmp_path / "blobs")))


@pytest.fixture
def version(client: TestClient, store: Store, versions: list[str]) -> Version:
    """It is at the hub."""
    found = store.find("m@1")
    content, at = found.path.read_bytes(), 0
    for chunk in found.cuts().chunks():
        place = f"/chunks/{chunk.name[:2]}/{chunk.name}"
        assert client.put(place, content=content[at : at + chunk.bytes], headers=KEY).status_code == 201
        at += chunk.bytes
    assert client.put(f"/versions/{found.digest}", content=index.encode(delta.index(found)), headers=KEY).is_success
    return found


def test_chunks_may_be_kept_for_ever(client: TestClient, version: Version) -> None:
    chunk = max(version.cuts().chunks(), key=lambda each: each.bytes)
    path = f"/chunks/{chunk.name[:2]}/{chunk.name}"
    whole = client.get(path)
    assert hashlib.sha256(whole.content).hexdigest() == chunk.name
    assert whole.headers["cache-control"] == FOREVER
    assert whole.headers["etag"] == f'"{chunk.name}"'
    assert client.get(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    part = client.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{chunk.bytes}"
    stale = client.get(path, headers={"Range": "bytes=10-19", "If-Range": '"other"'})
    assert (stale.status_code, len(stale.content)) == (200, chunk.bytes)
    beyond = client.get(path, headers={"Range": f"bytes={chunk.bytes}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{chunk.bytes}")
    head = client.head(path)
    assert (head.content, int(head.headers["content-length"])) == (b"", chunk.bytes)


def test_a_file_is_read_over_its_chunks(client: TestClient, version: Version) -> None:
    content = version.path.read_bytes()
    path = f"/files/{version.digest}/m.gguf"
    assert client.get(path).content == content
    for first, last in ((0, 0), (1000, 900_000), (len(content) - 5, len(content) - 1)):
        part = client.get(path, headers={"Range": f"bytes={first}-{last}"})
        assert part.content == content[first : last + 1]
    assert client.get(path).headers["etag"] == f'"{version.manifest.files[0].sha256}"'
    assert client.get(f"/files/{version.digest}/none").status_code == 404
    assert client.get(f"/files/{'f' * 64}/m.gguf").status_code == 404


def test_what_changes_is_asked_for_again(client: TestClient, version: Version) -> None:
    for path in ("/index.json", "/v1/releases", f"/versions/{version.digest}"):
        first = client.get(path)
        assert first.headers["cache-control"] == "no-cache"
        assert client.get(path, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    page = msgspec.json.decode(client.get("/index.json").content, type=bundle.Page)
    assert [(each.name, each.number, each.digest) for each in page.versions] == [("m", 1, version.digest)]


def test_only_publishers_publish(client: TestClient, version: Version) -> None:
    for method, path in (
        ("PUT", "/chunks/ab/" + "ab" * 32),
        ("PUT", "/versions/" + "f" * 64),
        ("PUT", "/v1/roots"),
        ("PUT", "/v1/releases/m"),
        ("POST", "/v1/missing"),
        ("POST", "/v1/tokens"),
        ("GET", "/v1/devices"),
        ("PATCH", "/v1/devices/one"),
        ("DELETE", "/v1/devices/one"),
    ):
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            refused = client.request(method, path, headers=headers)
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "hub_key_refused"), path


def test_a_chunk_is_what_it_is_called(client: TestClient) -> None:
    name = hashlib.sha256(b"right").hexdigest()
    for path, content in ((f"{name[:2]}/{name}", b"wrong"), (f"zz/{name}", b"right"), (f"{name[:2]}/..", b"right")):
        assert not client.put(f"/chunks/{path}", content=content, headers=KEY).is_success
    assert client.put(f"/chunks/{name[:2]}/{name}", content=bytes(17 << 20), headers=KEY).status_code == 413
    assert client.get(f"/chunks/{name[:2]}/{name}").status_code == 404
    assert client.get("/chunks/ab/..%2f..%2fhub.sqlite").status_code == 404


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b'{"token": 7}', b"{" * 5000])
def test_nonsense_is_refused(client: TestClient, content: bytes) -> None:
    for method, path in (
        ("POST", "/v1/enrol"),
        ("POST", "/v1/missing"),
        ("PUT", "/v1/roots"),
        ("PUT", "/v1/releases/m"),
        ("PUT", "/versions/" + "f" * 64),
    ):
        refused = client.request(method, path, headers=KEY, content=content)
        assert 400 <= refused.status_code < 500, path
        assert refused.json()["error"]["message"]


def test_a_private_hub_reads_keys(ledger: Ledger, tmp_path: Path, version: Version) -> None:
    client = TestClient(app(ledger, Disk(tmp_path / "blobs"), private=True))
    chunk = version.cuts().chunks()[0].name
    paths = [f"/chunks/{chunk[:2]}/{chunk}", "/index.json", f"/versions/{version.digest}", "/v1/releases"]
    assert [client.get(path).status_code for path in paths] == [401] * 4
    assert client.get("/health").is_success
    assert client.get("/v1/roots/1").status_code == 404  # whoever joins looks at it before they have a key
    ledger.add_token("t", Wish())
    ledger.enrol(Enrolment("t", "its key", "one"))
    for key in ("secret", "its key"):
        found = [client.get(path, headers={"Authorization": f"Bearer {key}"}) for path in paths]
        assert [each.status_code for each in found] == [200] * 4
        assert found[0].headers["cache-control"].startswith("private")
