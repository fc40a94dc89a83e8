"""Files come whole through every fault a network has, and a stop loses next to nothing."""

from __future__ import annotations

import asyncio
import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

from model_hub import Hub, Repository, serving
from penjing.errors import DiskFull
from penjing.progress import Progress, Transfer
from penjing.sources.client import Client, Patience
from penjing.sources.faults import Gated, SourceFailed, WrongLength
from penjing.sources.source import Listing, RemoteFile, listing
from penjing.store import parts
from penjing.store.download import Download, WrongDigest

BIG = random.Random(1).randbytes(6_000_000)
FILES = {"m-Q8_0.gguf": BIG, "config.json": b"{}" * 50, "empty.gguf": b"", "in/side.json": b"[]"}
QUICK = Patience(first=0.01, most=0.02, jitter=0.0, silence=2.0)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setattr(parts, "PIECE", 1 << 20)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "none"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serving({"o/r": Repository(dict(FILES)), "o/gated": Repository(dict(FILES), gated=True)}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def fetch(found: Listing, folder: Path, **more: object) -> Download:
    download = Download(found.files, found.headers, folder, **more)  # type: ignore[arg-type]

    async def run() -> None:
        async with Client(QUICK) as client:
            digests = await download.run(client)
        assert digests == [hashlib.sha256((folder / file.path).read_bytes()).hexdigest() for file in found.files]

    asyncio.run(run())
    return download


def require_whole(folder: Path) -> None:
    for path, content in FILES.items():
        assert (folder / path).read_bytes() == content


def test_all_files_come_in_pieces_and_progress_is_told(hub: Hub, tmp_path: Path) -> None:
    told: list[Progress] = []
    download = fetch(listing("hf:o/r"), tmp_path / "to", report=told.append)
    require_whole(tmp_path / "to")
    assert download.moved == hub.moved + 100 + 2
    last = told[-1]
    assert isinstance(last, Transfer)
    assert (last.fraction, last.done, last.total) == (1.0, len(BIG) + 102, len(BIG) + 102)
    pieces = [asked for asked in hub.requests("store") if asked.path.endswith("m-Q8_0.gguf")]
    assert len(pieces) == 6


def test_what_breaks_off_is_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    hub.faults.resets = [65536 * number for number in (3, 0, 7, 1, 9, 2, 5, 5, 5, 5, 5, 5)]
    fetch(listing("hf:o/r"), tmp_path / "to")
    require_whole(tmp_path / "to")
    assert hub.moved < len(BIG) * 1.6


def test_busy_and_broken_servers_are_asked_again(hub: Hub, tmp_path: Path) -> None:
    found = listing("hf:o/r")
    hub.faults.statuses = [
        ("store", 503, {}),
        ("store", 429, {"Retry-After": "0"}),
        ("hub", 500, {}),
        ("store", 502, {}),
        ("hub", 429, {"Retry-After": "0"}),
    ]
    fetch(found, tmp_path / "to")
    require_whole(tmp_path / "to")


def test_a_server_that_stays_broken_is_given_up_and_what_came_is_kept(hub: Hub, tmp_path: Path) -> None:
    found = listing("hf:o/r")
    fetched = RemoteFile("config.json", 100, found.files[0].url, git=found.files[0].git)
    hub.faults.statuses = [("store", 503, {})] * 500
    with pytest.raises(SourceFailed):
        fetch(found, tmp_path / "to")
    assert (tmp_path / "to" / fetched.path).read_bytes() == FILES["config.json"]
    hub.faults.statuses = []
    fetch(found, tmp_path / "to")
    require_whole(tmp_path / "to")


def test_addresses_that_expire_are_renewed(hub: Hub, tmp_path: Path) -> None:
    hub.faults.expires = 2
    fetch(listing("hf:o/r"), tmp_path / "to")
    require_whole(tmp_path / "to")


def test_a_server_without_ranges(hub: Hub, tmp_path: Path) -> None:
    hub.faults.without_ranges = True
    hub.faults.resets = [65536 * 4] * 9
    fetch(listing("hf:o/r"), tmp_path / "to")
    require_whole(tmp_path / "to")


def test_a_file_of_unknown_size(hub: Hub, tmp_path: Path) -> None:
    found = listing("hf:o/r")
    unknown = [RemoteFile(file.path, -1, file.url, file.sha256, "") for file in found.files if file.bytes]
    download = Download(unknown, {}, tmp_path / "to")

    async def run() -> None:
        async with Client(QUICK) as client:
            await download.run(client)

    asyncio.run(run())
    assert (tmp_path / "to" / "m-Q8_0.gguf").read_bytes() == BIG


def test_a_changed_byte_is_found_and_nothing_of_the_file_is_kept(hub: Hub, tmp_path: Path) -> None:
    hub.faults.damaged = {"m-Q8_0.gguf"}
    with pytest.raises(WrongDigest, match=r"m-Q8_0\.gguf"):
        fetch(listing("hf:o/r"), tmp_path / "to")
    assert not (tmp_path / "to" / "m-Q8_0.gguf").exists()
    hub.faults.damaged = set()
    fetch(listing("hf:o/r"), tmp_path / "to")
    require_whole(tmp_path / "to")


def test_small_files_are_checked_against_gits_digest(hub: Hub, tmp_path: Path) -> None:
    found = listing("hf:o/r")
    hub.repositories["o/r"].files["config.json"] = b"[]" * 50
    with pytest.raises(WrongDigest, match=r"config\.json"):
        fetch(found, tmp_path / "to")


def test_a_wrong_length_is_told_before_it_is_fetched(hub: Hub, tmp_path: Path) -> None:
    hub.faults.short = 1000
    with pytest.raises(WrongLength, match="5999000"):
        fetch(listing("hf:o/r"), tmp_path / "to")


def test_a_gated_file_is_explained(hub: Hub, tmp_path: Path) -> None:
    found = listing("hf:o/gated")
    assert found.gated
    with pytest.raises(Gated):
        fetch(found, tmp_path / "to")


class Enough(Exception):
    pass


def test_cancelled_and_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    hub.faults.pause = 0.005
    found = listing("hf:o/r")

    def report(progress: Progress) -> None:
        if progress.fraction > 0.4:
            raise Enough

    with pytest.raises(Enough):
        fetch(found, tmp_path / "to", report=report)
    hub.faults.pause = 0.0
    before = hub.moved
    download = fetch(found, tmp_path / "to")
    require_whole(tmp_path / "to")
    assert download.before > 0.3 * len(BIG)
    assert hub.moved - before < 0.7 * len(BIG)


def test_what_was_damaged_while_nobody_looked_is_fetched_again(hub: Hub, tmp_path: Path) -> None:
    found = listing("hf:o/r")
    fetch(found, tmp_path / "to")
    path = tmp_path / "to" / "m-Q8_0.gguf"
    path.write_bytes(BIG[:100] + b"damage" + BIG[106:])
    fetch(found, tmp_path / "to")
    require_whole(tmp_path / "to")
    path.write_bytes(BIG[:1000])
    fetch(found, tmp_path / "to")
    require_whole(tmp_path / "to")


def test_a_file_with_another_name_elsewhere_is_not_written_into(hub: Hub, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "config.json").hardlink_to(elsewhere)
    fetch(listing("hf:o/r"), tmp_path / "to")
    require_whole(tmp_path / "to")
    assert elsewhere.read_bytes() == b"mine"


def test_a_full_disk_is_said_to_be_so(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = listing("hf:o/r")
    real = parts.Part.prepare

    def prepare(self: parts.Part) -> None:
        real(self)
        if self._stream is not None:
            self._stream.close()
            self._stream = FileIO("/dev/full", "r+")

    monkeypatch.setattr(parts.Part, "prepare", prepare)
    with pytest.raises(DiskFull):
        fetch(found, tmp_path / "to")


KILLED = """
import asyncio, sys
from pathlib import Path
from penjing.sources.client import Client
from penjing.sources.source import listing
from penjing.store import download, parts
from penjing.store.download import Download
parts.PIECE, download.NOTED = 1 << 20, 1 << 17
found = listing("hf:o/r")
async def run():
    async with Client() as client:
        await Download(found.files, {}, Path(sys.argv[1])).run(client)
asyncio.run(run())
print("whole")
"""


def test_killed_again_and_again_it_ends_whole(hub: Hub, tmp_path: Path) -> None:
    hub.faults.pause = 0.02
    chance = random.Random(4)
    killed = 0
    while True:
        enough = hub.moved + chance.randrange(200_000, 2_000_000)
        child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "to")], stdout=subprocess.PIPE)
        while child.poll() is None and hub.moved < enough:
            time.sleep(0.01)
        child.kill()
        told, _ = child.communicate()
        if child.returncode == 0:
            assert told.strip() == b"whole"
            break
        assert child.returncode == -signal.SIGKILL
        killed += 1
    require_whole(tmp_path / "to")
    assert killed
    assert hub.moved < len(BIG) * 3
