"""The keys this machine trusts, and for which models: `PENJING_HOME/trust/trusted.json`.

Does not know: what they sign.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from penjing.files import home, write_whole
from penjing.lock import held
from penjing.store.trust.faults import BadKey, KeyDamaged, KeyNameTaken, NoSuchKey
from penjing.store.trust.keys import PublicKey, name_of, of_text

ALL = ("*",)


class Trusted(msgspec.Struct, frozen=True):
    """`key` as text; `models` are patterns of names (`qwen3*`) it may sign."""

    name: str
    key: str
    models: tuple[str, ...] = ALL

    @property
    def public(self) -> PublicKey:
        """Raises BadKey."""
        return of_text(self.key)

    def may(self, model: str) -> bool:
        """Whether it counts for the model `model`."""
        return any(fnmatchcase(model.lower(), pattern.lower()) for pattern in self.models)


def path() -> Path:
    """Where they are kept."""
    return home() / "trust" / "trusted.json"


def every() -> tuple[Trusted, ...]:
    """Raises KeyDamaged."""
    place = path()
    try:
        found = msgspec.json.decode(place.read_bytes(), type=tuple[Trusted, ...])
        for each in found:
            each.public  # noqa: B018  # its key is read here, where its file can be named
    except FileNotFoundError:
        return ()
    except (msgspec.DecodeError, UnicodeDecodeError, BadKey) as error:
        raise KeyDamaged(path=str(place), detail=str(error)) from error
    return found


def add(name: str, key: PublicKey, models: Iterable[str] = ALL) -> Trusted:
    """Trust `key` from now on; a key that is there under this name gets the new `models`. Raises BadKeyName,
    KeyNameTaken (the name is another key's), KeyDamaged."""
    new = Trusted(name_of(name), str(key), tuple(models) or ALL)
    with held(_lock()):
        known = every()
        if any(each.name == name and each.key != new.key for each in known):
            raise KeyNameTaken(name=name)
        _save((*(each for each in known if each.name != name), new))
    return new


def remove(name: str) -> Trusted:
    """Trust the key `name` no more. Raises NoSuchKey, KeyDamaged."""
    with held(_lock()):
        known = every()
        found = next((each for each in known if each.name == name), None)
        if found is None:
            raise NoSuchKey(name=name)
        _save(each for each in known if each is not found)
    return found


def _save(keys: Iterable[Trusted]) -> None:
    ordered = sorted(keys, key=lambda each: each.name)
    write_whole(path(), msgspec.json.format(msgspec.json.encode(ordered), indent=2) + b"\n")


def _lock() -> Path:
    return path().with_suffix(".lock")
