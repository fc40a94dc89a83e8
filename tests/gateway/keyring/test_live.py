"""How a running server looks at the file."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from penjing.errors import AccessError
from penjing.gateway.keyring.book import Book
from penjing.gateway.keyring.key import Rights, utc
from penjing.gateway.keyring.live import LOOK_SECONDS, KeyExpired, KeyRevoked, Live


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def test_it_looks_once_in_a_while(tmp_path: Path) -> None:
    now = 0.0
    book = Book(tmp_path / "keys.json")
    live = Live(book.path, lambda: now)
    assert not live
    key, secret = book.add("a", Rights())
    with pytest.raises(AccessError):
        live.find(digest(secret))
    now += LOOK_SECONDS
    assert live
    assert live.find(digest(secret)) == key
    assert live.find(digest(secret)) is live.find(digest(secret))
    book.revoke("a")
    live.find(digest(secret))
    now += LOOK_SECONDS
    with pytest.raises(KeyRevoked):
        live.find(digest(secret))


def test_ends(tmp_path: Path) -> None:
    book = Book(tmp_path / "keys.json")
    _, past = book.add("past", Rights(), utc() - timedelta(seconds=1))
    _, old = book.add("changed", Rights(), utc() + timedelta(days=1))
    _, older = book.add("long", Rights(), utc() - timedelta(seconds=1))
    _, new = book.rotate("changed", timedelta(microseconds=1))
    book.rotate("long", timedelta(days=1))
    live = Live(book.path)
    with pytest.raises(KeyExpired):
        live.find(digest(past))
    with pytest.raises(AccessError) as told:
        live.find(digest(old))
    assert type(told.value) is AccessError
    assert live.find(digest(new)).name == "changed"
    with pytest.raises(AccessError):  # a key that has ended has ended with all it was
        live.find(digest(older))
