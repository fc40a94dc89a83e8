from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import hubs
from penjing.fleet.client import Hub
from penjing.fleet.faults import BadBlobs
from penjing.fleet.hub import blobs
from penjing.fleet.publish import publish
from penjing.store import bundle, fetch
from penjing.store.trust.keys import SigningKey
from penjing.store.versions import Store

NAME = "ab" + "0" * 62


def test_a_folder(tmp_path: Path) -> None:
    kept = blobs.place(str(tmp_path / "blobs"))
    kept.put(NAME, b"0123456789")
    kept.put(NAME, b"0123456789")
    assert kept.read(NAME, 2, 5) == b"234"
    assert kept.read(NAME, 0, 10) == b"0123456789"
    with pytest.raises(FileNotFoundError):
        kept.read("cd" + NAME[2:], 0, 1)


def test_places_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BadBlobs):
        blobs.place("nonsense://bucket")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadBlobs):
        blobs.place(str(tmp_path / "file")).put(NAME, b"1")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """In storage that speaks S3, on this machine."""
    moto = pytest.importorskip("moto.server", reason="pip install 'penjing[extras-test]'")
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ALLOW_HTTP": "true",
        }.items():
            monkeypatch.setenv(name, value)
        import urllib.request

        made = urllib.request.Request(f"http://{host}:{port}/models", method="PUT")
        assert urllib.request.urlopen(made).status == 200
        yield "s3://models/chunks"
    finally:
        server.stop()


@pytest.mark.extras
def test_a_bucket(bucket: str) -> None:
    kept = blobs.place(bucket)
    kept.put(NAME, b"0123456789")
    assert kept.read(NAME, 2, 5) == b"234"
    with pytest.raises(FileNotFoundError):
        kept.read("cd" + NAME[2:], 0, 1)
    with pytest.raises(BadBlobs):
        blobs.place("s3://no-such-bucket/x").put(NAME, b"1")


@pytest.mark.extras
def test_a_hub_over_a_bucket(bucket: str, tmp_path: Path, store: Store, versions: list[str], key: SigningKey) -> None:
    with hubs.hub(tmp_path / "hub", "--blobs", bucket) as running:
        with Hub(running.url, running.key) as office:
            publish(store, store.find("m@2"), office, key)
        there = Store(tmp_path / "there")
        with fetch.place(running.url) as place:
            (version,) = bundle.take(there, place)
        assert version.path.read_bytes() == store.find("m@2").path.read_bytes()
    assert not any((running.home / "hub").rglob("blobs/*"))
