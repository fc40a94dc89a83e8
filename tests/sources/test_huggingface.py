"""Listings of a hub over real sockets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_hub import COMMIT, Hub, Repository, git_digest, serving
from penjing.errors import PenjingError
from penjing.sources import huggingface
from penjing.sources.faults import (
    ForeignAnswer,
    LoginNeeded,
    NoSuchRepository,
    NoSuchRevision,
    NotAReference,
    Offline,
    SourceFailed,
    SourceUnreachable,
    TooManyRequests,
)
from penjing.sources.source import listing

GGUF = b"GGUF" + bytes(1000)
PAGE = b'{"model_type": "llama"}'


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    files = {"m-Q8_0.gguf": GGUF, "config.json": PAGE, "deep/er/x y.json": b"{}"}
    with serving({"o/r": Repository(files), "o/secret": Repository(files, token="t0ken")}, page=2) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url + "/")
        yield running


def test_a_listing_has_every_page_with_digests_and_pinned_addresses(hub: Hub) -> None:
    found = listing("hf:o/r")
    assert found.revision == COMMIT
    assert found.licence == "apache-2.0"
    assert not found.gated
    assert [file.path for file in found.files] == ["config.json", "deep/er/x y.json", "m-Q8_0.gguf"]
    large, small, spaced = found.file("m-Q8_0.gguf"), found.file("config.json"), found.file("deep/er/x y.json")
    assert large is not None
    assert small is not None
    assert spaced is not None
    assert (large.bytes, large.sha256, large.git) == (len(GGUF), hashlib.sha256(GGUF).hexdigest(), "")
    assert (small.bytes, small.sha256, small.git) == (len(PAGE), "", git_digest(PAGE))
    assert spaced.url == f"{hub.url}/o/r/resolve/{COMMIT}/deep/er/x%20y.json"


@pytest.mark.parametrize(
    ("text", "kind"),
    [("hf:o/r@v9", NoSuchRevision), ("hf:o/nothing", LoginNeeded), ("hf:o/secret", LoginNeeded)],
)
def test_what_is_not_there_is_said_to_be_so(hub: Hub, text: str, kind: type[PenjingError]) -> None:
    with pytest.raises(kind):
        listing(text)


def test_a_token_opens_what_it_may_and_a_signed_in_person_is_told_that_there_is_nothing(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "t0ken")
    found = listing("hf:o/secret")
    assert found.headers == {"Authorization": "Bearer t0ken"}
    assert "t0ken" not in repr(found)
    with pytest.raises(NoSuchRepository):
        listing("hf:o/nothing")


def test_the_token_is_read_where_the_official_tools_keep_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert huggingface.token() == ""
    (tmp_path / "huggingface").mkdir()
    (tmp_path / "huggingface" / "token").write_text("from home\n")
    assert huggingface.token() == "from home"
    (tmp_path / "elsewhere").write_text("from path")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "elsewhere"))
    assert huggingface.token() == "from path"
    monkeypatch.setenv("HF_TOKEN", "from environment")
    assert huggingface.token() == "from environment"
    monkeypatch.delenv("HF_HOME")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.delenv("HF_TOKEN_PATH")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache" / "huggingface").mkdir(parents=True)
    (tmp_path / "cache" / "huggingface" / "token").write_text("from cache")
    assert huggingface.token() == "from cache"


def test_a_hub_that_asks_to_wait_is_waited_for(hub: Hub) -> None:
    hub.faults.statuses = [
        ("hub", 429, {"Retry-After": "0"}),
        ("hub", 503, {}),
        ("hub", 429, {"RateLimit": '"api";r=0;t=0'}),
    ]
    assert len(listing("hf:o/r").files) == 3


def test_a_hub_that_asks_to_wait_too_long_is_given_up_with_the_time(hub: Hub) -> None:
    hub.faults.statuses = [("hub", 429, {"Retry-After": "3600"})]
    with pytest.raises(TooManyRequests, match="3600 s"):
        listing("hf:o/r")


def test_a_hub_that_is_broken_is_given_up(hub: Hub) -> None:
    hub.faults.statuses = [("hub", 502, {"Retry-After": "0"})] * 20
    with pytest.raises(SourceFailed, match="502"):
        listing("hf:o/r")


def test_what_is_no_hub_is_said_to_be_so(hub: Hub) -> None:
    hub.faults.statuses = [("hub", 200, {})]
    with pytest.raises(ForeignAnswer, match="something else"):
        listing("hf:o/r")


def test_no_way_to_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    from penjing.sources import client

    monkeypatch.setattr(client.Patience, "pause", lambda self, failures: 0.0)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1:9") as refused:
        listing("hf:o/r")
    assert refused.value.exit_code == 6


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_is_respected(hub: Hub, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(Offline, match=name):
        listing("hf:o/r")
    assert not hub.asked


def test_a_mirror_that_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "hf-mirror.com")
    with pytest.raises(NotAReference, match="HF_ENDPOINT"):
        listing("hf:o/r")


@pytest.mark.parametrize(
    ("card", "tags", "wanted"),
    [
        ({"license": "mit"}, None, "mit"),
        (
            {"license": "other", "license_name": "qwen", "license_link": "https://x/LICENSE"},
            [],
            "qwen (https://x/LICENSE)",
        ),
        ({}, ["gguf", "license:llama2"], "llama2"),
        ({"license": ["mit", "apache-2.0"]}, [], "mit, apache-2.0"),
        ({}, [], ""),
    ],
)
def test_licences(card: dict[str, object], tags: object, wanted: str) -> None:
    assert huggingface.licence(card, tags) == wanted
