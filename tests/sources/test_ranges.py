"""Bytes of files elsewhere, in parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from model_hub import COMMIT, Hub, Repository, serving
from penjing.sources.faults import Gated, LoginNeeded, NoRanges, NoSuchRemoteFile
from penjing.sources.ranges import Ranges, Several

CONTENT = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture
def hub() -> Iterator[Hub]:
    files = {"m.gguf": CONTENT, "small.json": b"0123456789", "empty.gguf": b""}
    gated = Repository(files, gated=True, token="t0ken")
    with serving({"o/r": Repository(files), "o/gated": gated}) as running:
        yield running


def address(hub: Hub, path: str, repository: str = "o/r") -> str:
    return f"{hub.url}/{repository}/resolve/{COMMIT}/{path}"


def test_only_what_is_read_is_moved_and_the_hub_is_asked_once(hub: Hub) -> None:
    with Ranges(address(hub, "m.gguf")) as file:
        assert file.read(1000, 24) == CONTENT[1000:1024]
        assert file.size == len(CONTENT)
        assert file.read(len(CONTENT) - 5, 100) == CONTENT[-5:]
        assert file.read(len(CONTENT), 1) == b""
        assert file.moved == 29
    assert hub.moved == 29
    assert [asked.role for asked in hub.asked] == ["hub", "store", "store"]


def test_many_at_once(hub: Hub) -> None:
    spans = [(address(hub, "m.gguf"), 4096 * number, 16) for number in range(40)]
    with Several() as files:
        found = files.read_many([*spans, (address(hub, "small.json"), 2, 3)])
        assert found == [*(CONTENT[at : at + 16] for _, at, _ in spans), b"234"]
        assert files.size(address(hub, "small.json")) == 10
        assert files.moved == 40 * 16 + 3


def test_an_empty_file(hub: Hub) -> None:
    with Ranges(address(hub, "empty.gguf")) as file:
        assert file.size == 0
        assert file.read(0, 10) == b""


def test_a_signed_address_that_expires_is_renewed(hub: Hub) -> None:
    hub.faults.expires = 2
    with Ranges(address(hub, "m.gguf")) as file:
        assert [file.read(at, 1) for at in range(7)] == [CONTENT[at : at + 1] for at in range(7)]
    assert len(hub.signatures) == 4


def test_a_connection_that_is_cut_is_made_again(hub: Hub) -> None:
    hub.faults.resets = [0, 65536]
    with Ranges(address(hub, "m.gguf")) as file:
        assert file.read(0, 200_000) == CONTENT[:200_000]


def test_a_server_without_ranges_is_read_from_its_beginning_only(hub: Hub) -> None:
    hub.faults.without_ranges = True
    with Ranges(address(hub, "m.gguf")) as file:
        assert file.read(100, 50) == CONTENT[100:150]
        assert file.size == len(CONTENT)
        with pytest.raises(NoRanges):
            file.read(1 << 20, 1)


def test_a_gated_file_says_where_to_ask(hub: Hub) -> None:
    with Ranges(address(hub, "m.gguf", "o/gated")) as file, pytest.raises(Gated, match="No token is set") as refused:
        file.read(0, 1)
    assert f"{hub.url}/o/gated" in refused.value.advice("en")
    wrong = {"Authorization": "Bearer other"}
    with Ranges(address(hub, "m.gguf", "o/gated"), wrong) as file, pytest.raises(Gated, match="not been given access"):
        file.read(0, 1)
    with Ranges(address(hub, "m.gguf", "o/gated"), {"Authorization": "Bearer t0ken"}) as file:
        assert file.read(0, 3) == CONTENT[:3]


def test_files_that_are_not_there(hub: Hub) -> None:
    with Ranges(address(hub, "none.gguf")) as file, pytest.raises(NoSuchRemoteFile, match=r"none\.gguf"):
        file.read(0, 1)
    with Ranges(address(hub, "m.gguf", "o/none")) as file, pytest.raises(LoginNeeded, match="o/none"):
        file.read(0, 1)


def test_a_file_here_is_read_alike(tmp_path: Path) -> None:
    (tmp_path / "a b.gguf").write_bytes(CONTENT)
    with Ranges((tmp_path / "a b.gguf").as_uri()) as file:
        assert file.size == len(CONTENT)
        assert file.read(7, 9) == CONTENT[7:16]
        assert file.moved == 0
