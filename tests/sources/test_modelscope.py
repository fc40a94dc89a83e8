"""Listings of ModelScope over real sockets."""

from __future__ import annotations

import hashlib
import http.cookiejar
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelscope_server import Server, serving
from penjing.sources import modelscope
from penjing.sources.faults import NoSuchRepository, NoSuchRevision, NotAReference
from penjing.sources.ranges import Ranges
from penjing.sources.source import listing

FILES = {"m-Q8_0.gguf": b"GGUF" * 100, "sub/config.json": b"{}"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "modelscope"))
    with serving(FILES) as running:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", running.url)
        yield running


def test_a_listing_with_digests_whose_files_can_be_read(server: Server) -> None:
    found = listing("ms:o/r")
    assert (found.revision, found.licence) == ("master", "apache license 2.0")
    assert [(file.path, file.bytes, file.sha256) for file in found.files] == [
        (path, len(content), hashlib.sha256(content).hexdigest()) for path, content in FILES.items()
    ]
    with Ranges(found.files[0].url) as file:
        assert (file.read(2, 4), file.size) == (b"UFGG", 400)


def test_what_is_not_there(server: Server) -> None:
    with pytest.raises(NoSuchRepository):
        listing("ms:o/none")
    with pytest.raises(NoSuchRevision):
        listing("ms:o/r@v9")


def test_the_token_of_the_official_tool_is_used_without_loading_its_pickle(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.token = "ms-t0ken"
    with pytest.raises(NoSuchRepository):
        listing("ms:o/r")
    jar = http.cookiejar.CookieJar()
    for name, value in (("other", "no"), ("m_session_id", "ms-t0ken")):
        jar.set_cookie(
            http.cookiejar.Cookie(
                0, name, value, None, False, "x", True, False, "/", True, True, None, False, None, None, {}
            )
        )
    kept = tmp_path / "modelscope" / "credentials" / "cookies"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(pickle.dumps(list(jar)))
    assert len(listing("ms:o/r").files) == 2
    kept.write_bytes(b"\x80\x04no pickle at all")
    assert modelscope.token() == ""
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-t0ken")
    assert len(listing("ms:o/r").files) == 2


def test_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    assert modelscope.endpoint() == "https://modelscope.cn"
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "www.modelscope.ai")
    assert modelscope.endpoint() == "https://www.modelscope.ai"
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "ftp://x")
    with pytest.raises(NotAReference):
        modelscope.endpoint()
