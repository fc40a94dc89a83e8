"""What keys used, kept across restarts, of several servers, on disks that are full."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path

import pytest

from penjing.gateway.keyring import ledger
from penjing.gateway.keyring.ledger import Ledger, UsageFileInvalid, Used, this_month

ONE = Used(1, 10, 5, 0.25)
COUNTER = """
import sys
from pathlib import Path
from penjing.gateway.keyring.ledger import Ledger, Used
ledger = Ledger(Path(sys.argv[1]))
for number in range(50):
    ledger.add("shared", Used(1, 10, 5, 0.25))
    ledger.flush()
"""


def test_counted_in_memory_then_kept(tmp_path: Path) -> None:
    first = Ledger(tmp_path)
    first.add("a", ONE)
    first.add("a", ONE)
    assert first.used("a") == Used(2, 20, 10, 0.5)
    assert this_month(tmp_path) == {}
    first.flush()
    assert first.used("a") == Used(2, 20, 10, 0.5)
    assert not first.waiting
    assert Ledger(tmp_path).used("a") == this_month(tmp_path)["a"] == Used(2, 20, 10, 0.5)


def test_servers_on_one_folder_add_up(tmp_path: Path) -> None:
    own = Ledger(tmp_path)
    others = [subprocess.Popen([sys.executable, "-c", COUNTER, str(tmp_path)]) for _ in range(2)]
    for _ in range(50):
        own.add("shared", ONE)
        own.flush()
    assert [other.wait(60) for other in others] == [0, 0]
    own.add("shared", ONE)
    own.flush()
    assert own.used("shared") == Used(151, 1510, 755, 37.75)


def test_nothing_is_lost_between_counting_and_writing(tmp_path: Path) -> None:
    book, done = Ledger(tmp_path), threading.Event()

    def write() -> None:
        while not done.is_set():
            book.flush()

    writer = threading.Thread(target=write)
    writer.start()
    for number in range(1, 3001):
        book.add("a", ONE)
        assert book.used("a").requests == number
    done.set()
    writer.join()
    book.flush()
    assert this_month(tmp_path)["a"].requests == 3000


def test_months(tmp_path: Path) -> None:
    now = datetime(2026, 11, 30, 23, 59, tzinfo=timezone.utc)
    book = Ledger(tmp_path, lambda: now)
    book.add("a", ONE)
    now = datetime(2026, 12, 1, tzinfo=timezone.utc)
    assert book.used("a") == Used()
    book.add("a", ONE)
    book.flush()
    assert {each.name for each in tmp_path.glob("*.json")} == {"2026-11.json", "2026-12.json"}
    assert ledger.read(tmp_path / "2026-11.json") == {"a": ONE}
    assert Ledger(tmp_path, lambda: now).used("a") == ONE


def test_what_cannot_be_written_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    book = Ledger(tmp_path)
    book.add("a", ONE)

    def full(*_: object, **__: object) -> None:
        book.add("a", ONE)  # while it is being written
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "write_whole", full)
        book.flush()
    assert "No space left" in caplog.text
    assert book.used("a") == Used(2, 20, 10, 0.5)
    book.flush()
    assert this_month(tmp_path)["a"] == Used(2, 20, 10, 0.5)


def test_broken_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    book = Ledger(tmp_path)
    path = tmp_path / f"{ledger.utc():%Y-%m}.json"
    path.write_text('{"a": {"requests": "many"}}')
    with pytest.raises(UsageFileInvalid, match="not a file of what API keys used"):
        Ledger(tmp_path)
    book.add("a", ONE)
    book.flush()  # a running server goes on, and says so
    assert "not a file of what API keys used" in caplog.text
    assert book.used("a") == ONE
    path.unlink()
    book.flush()
    assert this_month(tmp_path) == {"a": ONE}
