"""Any web server as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from model_hub import COMMIT, Hub, Repository, serving
from penjing.sources.faults import NoSuchRemoteFile, NotAReference
from penjing.sources.source import listing


@pytest.fixture
def hub() -> Iterator[Hub]:
    shards = {f"m-Q8_0-0000{number}-of-00003.gguf": bytes(number) for number in (1, 2, 3)}
    with serving({"o/r": Repository({"m x.gguf": b"GGUF" * 9, "page.json": b"{}", **shards})}) as running:
        yield running


def test_a_file_by_its_address_with_the_digest_its_server_tells(hub: Hub) -> None:
    (file,) = listing(f"{hub.url}/o/r/resolve/{COMMIT}/m%20x.gguf").files
    assert (file.path, file.bytes, file.sha256) == ("m x.gguf", 36, hashlib.sha256(b"GGUF" * 9).hexdigest())


def test_a_digest_of_ones_own(hub: Hub) -> None:
    url = f"{hub.url}/o/r/resolve/{COMMIT}/page.json"
    assert listing(url).files[0].sha256 == ""
    assert listing(f"{url}#sha256={'AB' * 32}").files[0].sha256 == "ab" * 32


def test_one_shard_brings_the_others(hub: Hub) -> None:
    found = listing(f"{hub.url}/o/r/resolve/{COMMIT}/m-Q8_0-00002-of-00003.gguf").files
    assert [(file.path, file.bytes) for file in found] == [(f"m-Q8_0-0000{n}-of-00003.gguf", n) for n in (1, 2, 3)]


def test_without_ranges_the_size_is_known_too(hub: Hub) -> None:
    hub.faults.without_ranges = True
    (file,) = listing(f"{hub.url}/o/r/resolve/{COMMIT}/m%20x.gguf").files
    assert file.bytes == 36


def test_what_is_not_there(hub: Hub) -> None:
    with pytest.raises(NoSuchRemoteFile):
        listing(f"{hub.url}/o/r/resolve/{COMMIT}/none.gguf")


def test_an_address_without_a_file(hub: Hub) -> None:
    hub.faults.statuses = [("hub", 200, {"Content-Type": "application/octet-stream"})]
    with pytest.raises(NotAReference, match="not a file's name"):
        listing(f"{hub.url}/")
