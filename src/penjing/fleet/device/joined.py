"""That this machine belongs to a hub: `PENJING_HOME/device/joined.json`, and how it fared, `state.json`.

Does not know: what a device does.
"""

from __future__ import annotations

import hashlib
import platform
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from penjing.errors import ModelCorrupt
from penjing.files import home, write_whole
from penjing.fleet.believed import Believed
from penjing.fleet.client import Hub
from penjing.fleet.client import address as address_of
from penjing.fleet.faults import HubKeyRefused, JoinedAlready, NotJoined
from penjing.fleet.token import parse
from penjing.fleet.wire import Enrolment, Orders, State
from penjing.lock import held
from penjing.sources.faults import NetworkError
from penjing.store.trust import book
from penjing.store.trust.faults import NoSuchKey
from penjing.store.trust.keys import PublicKey

T = TypeVar("T", bound=msgspec.Struct)


class Joined(msgspec.Struct, frozen=True):
    """`key` is this device's secret. `trusted`: names, in the book of trusted keys, of those that came with the hub.
    `orders` as they were heard last, `mirrors` of this device's own."""

    url: str
    key: str
    orders: Orders
    trusted: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()


class Fared(msgspec.Struct, frozen=True):
    """`at`: RFC 3339; "" before the first round."""

    state: State = State()
    at: str = ""


class Wanting(msgspec.Struct, frozen=True):
    """A device that is asking to join: with which token (its SHA-256), and its secret. It asks with the same secret
    again where the answer was lost."""

    token: str
    key: str


def folder() -> Path:
    """Where a device keeps what it knows of its hub."""
    return home() / "device"


def joined() -> Joined:
    """Raises NotJoined."""
    found = _read(folder() / "joined.json", Joined)
    if found is None:
        raise NotJoined
    return found


def joined_or_none() -> Joined | None:
    """None where it has joined none."""
    return _read(folder() / "joined.json", Joined)


def fared() -> Fared:
    """How the last round went."""
    return _read(folder() / "state.json", Fared) or Fared()


def save(found: Joined | Fared) -> None:
    """Keep it; only the owner can read it."""
    name = "joined.json" if isinstance(found, Joined) else "state.json"
    write_whole(folder() / name, msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n", private=True)


def join(url: str, text: str, name: str = "", mirrors: Iterable[str] = ()) -> Joined:
    """Become a device of the hub at `url`. Raises BadToken, OtherHub, JoinedAlready, BadHub, NetworkError."""
    token = parse(text)
    places = tuple(address_of(each) for each in mirrors)
    with held(folder() / "lock"):
        known = joined_or_none()
        if known is not None:
            raise JoinedAlready(hub=known.url, name=known.orders.name)
        key = _wanting(hashlib.sha256(text.strip().encode()).hexdigest())
        with Hub(url, key) as hub:
            believed = Believed(hub)
            believed.pin(token)  # before the hub sees the token: another could enrol with it
            asked = Enrolment(token.secret, key, name or platform.node() or "device", _platform())
            found = Joined(hub.url, key, hub.enrol(asked), trust((), believed.keys), places)
        save(found)
        (folder() / "wanting.json").unlink(missing_ok=True)
    return found


def leave() -> tuple[Joined, bool]:
    """Belong to no hub any more, and trust its keys no more; models stay. Whether the hub heard of it. Raises
    NotJoined."""
    with held(folder() / "lock"):
        known = joined()
        try:
            with Hub(known.url, known.key) as hub:
                hub.leave()
            heard = True
        except HubKeyRefused:  # it had let this device go before
            heard = True
        except NetworkError:
            heard = False
        trust(known.trusted, {})
        for each in ("joined.json", "state.json"):
            (folder() / each).unlink(missing_ok=True)
    return known, heard


def trust(before: tuple[str, ...], keys: dict[str, PublicKey]) -> tuple[str, ...]:
    """Have `keys` in the book, and those of `before` that are not among them no more; their names there. Raises
    KeyNameTaken, KeyDamaged."""
    names = {f"publisher-{id}": key for id, key in keys.items()}
    for name in before:
        if name not in names:
            _distrust(name)
    here = {each.name for each in book.every()}
    for name, key in names.items():
        if name not in here:
            book.add(name, key)
    return tuple(sorted(names))


def _distrust(name: str) -> None:
    try:
        book.remove(name)
    except NoSuchKey:  # a person did it
        return


def _wanting(token: str) -> str:
    path = folder() / "wanting.json"
    before = _read(path, Wanting)
    if before is not None and before.token == token:
        return before.key
    key = secrets.token_urlsafe(24)
    write_whole(path, msgspec.json.encode(Wanting(token, key)), private=True)
    return key


def _platform() -> str:
    return f"{platform.system()} {platform.machine()}".strip()


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelCorrupt(path=str(path), detail=str(error)) from error
