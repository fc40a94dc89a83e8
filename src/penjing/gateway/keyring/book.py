"""The keys on disk: PENJING_HOME/keys.json, which its owner alone may read.

Changes are made under a lock, so that two commands at once both happen, and written whole or not at all. A running
server reads the file again by itself (`live`).

Does not know: requests, what keys have used.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from penjing.errors import InputError
from penjing.files import home, write_whole
from penjing.gateway.keyring.key import NAME, SHOWN, Former, Key, Rights, digest, new_secret, utc
from penjing.lock import held

FILE = "keys.json"
VERSION = 1


class KeysFileInvalid(InputError):
    """Facts: `path`, `detail`."""

    template = "{path} is not a file of API keys: {detail}"
    hint = "Put back a copy of it; or move it away and make new keys: penjing keys add NAME"
    code = "invalid_keys_file"


class BadName(InputError):
    """Facts: `name`."""

    template = "'{name}' cannot be the name of a key."
    hint = "Letters, digits and . _ - @, at most 64 of them."
    code = "invalid_key_name"


class NameTaken(InputError):
    """Facts: `name`."""

    template = "There is, or was, a key named '{name}'; a name is used once, so that records stay clear."
    hint = "Choose another name, or give that key a new secret: penjing keys rotate {name}"
    code = "key_name_taken"


class NoSuchKey(InputError):
    """Facts: `name`, `known`."""

    template = "There is no key named '{name}' that could be changed."
    hint = "Keys here: {known}"
    code = "no_such_key"


class _File(Struct, forbid_unknown_fields=True):
    version: int
    keys: list[Key]


DECODER = msgspec.json.Decoder(_File)


def read(path: Path) -> list[Key]:
    """The keys in a file, none where there is no file. Raises KeysFileInvalid, OSError."""
    try:
        found = DECODER.decode(path.read_bytes())
    except FileNotFoundError:
        return []
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KeysFileInvalid(path=str(path), detail=str(error)) from error
    if found.version != VERSION:
        raise KeysFileInvalid(path=str(path), detail=f"version {found.version}, this penjing knows {VERSION}")
    return found.keys


class Book:
    """The keys at `path`, by default those of this penjing."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or home() / FILE

    def every(self) -> list[Key]:
        """All of them, the revoked too. Raises KeysFileInvalid."""
        return read(self.path)

    def add(self, name: str, rights: Rights, expires: datetime | None = None) -> tuple[Key, str]:
        """A new key and its secret, which is not kept. Raises BadName, NameTaken, KeysFileInvalid."""
        if not NAME.fullmatch(name):
            raise BadName(name=name)
        secret = new_secret()
        made = Key(name, secret[:SHOWN], digest(secret.encode()).hex(), utc(), rights, expires)

        def change(keys: list[Key]) -> Key:
            if any(key.name == name for key in keys):
                raise NameTaken(name=name)
            keys.append(made)
            return made

        return self._change(change), secret

    def revoke(self, name: str) -> Key:
        """The key `name` lets nobody in any more. Raises NoSuchKey, KeysFileInvalid."""
        return self._replace(name, lambda key: structs.replace(key, revoked=utc(), former=()))

    def rotate(self, name: str, grace: timedelta) -> tuple[Key, str]:
        """A new secret for the key `name`; what it was before lets in for `grace` more at most. Raises NoSuchKey,
        KeysFileInvalid."""
        secret = new_secret()

        def rotated(key: Key) -> Key:
            now = utc()
            before = (*key.former, Former(key.digest, now + grace))
            former = tuple(Former(each.digest, min(each.until, now + grace)) for each in before)
            former = tuple(each for each in former if each.until > now)
            return structs.replace(key, prefix=secret[:SHOWN], digest=digest(secret.encode()).hex(), former=former)

        return self._replace(name, rotated), secret

    def _replace(self, name: str, change: Callable[[Key], Key]) -> Key:
        def one(keys: list[Key]) -> Key:
            for place, key in enumerate(keys):
                if key.name == name and key.revoked is None:
                    keys[place] = change(key)
                    return keys[place]
            known = ", ".join(key.name for key in keys if key.revoked is None)
            raise NoSuchKey(name=name, known=known or "-")

        return self._change(one)

    def _change(self, change: Callable[[list[Key]], Key]) -> Key:
        with held(self.path.with_suffix(".lock")):
            keys = read(self.path)
            changed = change(keys)
            content = msgspec.json.format(msgspec.json.encode(_File(VERSION, keys)), indent=1)
            write_whole(self.path, content + b"\n", private=True)
        return changed
