"""The file of keys: real processes at once, what is kept and what is not, and broken files."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from penjing.gateway.keyring.book import BadName, Book, KeysFileInvalid, NameTaken, NoSuchKey, read
from penjing.gateway.keyring.key import Key, Rights, new_secret, utc

RACER = """
import sys
from pathlib import Path
from penjing.gateway.keyring.book import Book, NameTaken
from penjing.gateway.keyring.key import Rights
book, taken = Book(Path(sys.argv[1])), 0
sys.stdin.read()  # until both are told to go
for number in range(20):
    book.add(f"{sys.argv[2]}-{number}", Rights())
    try:
        book.add(f"shared-{number}", Rights())
        taken += 1
    except NameTaken:
        pass
print(taken)
"""


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "keys.json")


def test_two_processes_at_once_both_happen(book: Book) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, str(book.path), name], **pipes)  # type: ignore[call-overload]  # of a dict
        for name in ("left", "right")
    ]
    for racer in racers:
        racer.stdin.close()
    won = []
    for racer in racers:
        assert racer.wait(60) == 0
        with racer.stdout:
            won.append(int(racer.stdout.read()))
    names = [key.name for key in book.every()]
    assert len(names) == len(set(names)) == 60
    assert sum(won) == 20
    assert not [each for each in book.path.parent.iterdir() if each.name.endswith(".part")]


def test_a_key_is_not_in_the_file_and_the_file_is_private(book: Book) -> None:
    key, secret = book.add("laptop", Rights(models=("qwen*",), requests_per_minute=3))
    content = book.path.read_text()
    assert secret not in content
    assert secret.startswith("pj-")
    assert secret[3:] not in content
    assert key.digest == sha256(secret.encode()).hexdigest()
    assert content.count(key.digest) == 1
    assert book.every() == [key]
    if os.name != "nt":
        assert book.path.stat().st_mode & 0o777 == 0o600


def test_keys_are_256_bits_of_chance() -> None:
    made = {new_secret() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(secret) for secret in made} == {3 + 43}  # 256 bits in base64 without padding


def test_a_name_is_used_once(book: Book) -> None:
    book.add("laptop", Rights())
    book.revoke("laptop")
    with pytest.raises(NameTaken, match="was, a key named 'laptop'"):
        book.add("laptop", Rights())
    for gone in (book.revoke, lambda name: book.rotate(name, timedelta(0))):
        with pytest.raises(NoSuchKey):
            gone("laptop")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65, "a\n", "a;b"])
def test_bad_names(book: Book, name: str) -> None:
    with pytest.raises(BadName):
        book.add(name, Rights())
    assert not book.path.exists()


def test_chinese_names(book: Book) -> None:
    assert book.add("办公室.笔记本", Rights())[0].name == book.every()[0].name


def test_rotating_keeps_rights_and_the_old_for_a_while(book: Book) -> None:
    before, _ = book.add("laptop", Rights(priority=2), utc() + timedelta(days=9))
    once, _ = book.rotate("laptop", timedelta(hours=1))
    twice, _ = book.rotate("laptop", timedelta(hours=2))
    assert (twice.rights, twice.expires, twice.created) == (before.rights, before.expires, before.created)
    assert [each.digest for each in twice.former] == [before.digest, once.digest]
    assert twice.former[1].until - twice.former[0].until > timedelta(minutes=59)
    short, _ = book.rotate("laptop", timedelta(minutes=1))
    assert len(short.former) == 3
    assert max(each.until for each in short.former) < utc() + timedelta(minutes=2)
    leaked, _ = book.rotate("laptop", timedelta(0))  # whatever leaked, it ends
    assert leaked.former == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"version": 2, "keys": []}',
        b'{"version": 1, "keys": [], "more": 1}',
        b'{"version": 1, "keys": [{"name": "a", "prefix": "p", "digest": "d", "created": "yesterday"}]}',
        b'{"version": 1, "keys": [{"name": "a", "prefix": "p", "digest": "d", "created": "2026-11-21T00:00:00Z", '
        b'"rights": {"concurrency": 0}}]}',
    ],
)
def test_broken_files_are_told_and_left_alone(book: Book, content: bytes) -> None:
    book.path.write_bytes(content)
    for change in (book.every, lambda: book.add("laptop", Rights())):
        with pytest.raises(KeysFileInvalid, match="not a file of API keys"):
            change()
    assert book.path.read_bytes() == content


def test_states() -> None:
    now = utc()
    key = Key("k", "pj-", "d", now, expires=now)
    assert (key.state(now), key.state(now - timedelta(1))) == ("expired", "live")
    assert Key("k", "pj-", "d", now, revoked=now).state(now) == "revoked"


def test_no_file_is_no_keys(tmp_path: Path) -> None:
    assert read(tmp_path / "none.json") == []
