"""What the hub knows: roots, releases, versions, chunks, tokens, devices, publishers. Every method is one transaction.

The hub holds no key that signs. It checks what publishers send as a device would, so that a mistake is told to who made
it; that devices need not trust it is because they check again.

Does not know: HTTP, where the bytes of chunks are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from secrets import token_hex
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError

from penjing.errors import AccessError, InputError
from penjing.fleet.faults import BadToken, HubKeyRefused, NoRoot, NothingPublished, TokenExpired, TokenUsed
from penjing.fleet.hub import tables
from penjing.fleet.token import digest as digest_of
from penjing.fleet.wire import Change, Device, Enrolment, Orders, Released, State, Wish
from penjing.store import index as indexes
from penjing.store import release_file
from penjing.store.index import Index
from penjing.store.names import name_of
from penjing.store.release_file import Known, Release

AT_ONCE = 500
"""Digests in one question to the database."""
HERE = "This hub"


class Incomplete(InputError):
    """Facts: `model`, `count`."""

    template = "{count} chunks of {model} are not at the hub."
    hint = "Publish it again: only what is missing is sent."
    code = "chunks_missing"
    status = 409


class Overtaken(InputError):
    """Facts: `model`."""

    template = "Somebody else published {model} at the same moment."
    hint = "Publish again."
    code = "release_overtaken"
    status = 409


class Ledger:
    """In the database `engine`. `every`: seconds between two polls of a device; `mirrors`: told to devices."""

    def __init__(self, engine: Engine, every: float = 60.0, mirrors: tuple[str, ...] = ()) -> None:
        self._engine = engine
        self.every, self.mirrors = every, mirrors

    # who asks

    def admit_publisher(self, name: str, secret: str) -> None:
        """Let who has `secret` publish from now on."""
        with self._engine.begin() as here:
            here.execute(delete(tables.publishers).where(tables.publishers.c.name == name))
            here.execute(insert(tables.publishers).values(key=digest_of(secret), name=name))

    def publisher(self, secret: str) -> str:
        """Whose secret it is. Raises HubKeyRefused."""
        with self._engine.connect() as here:
            found = here.execute(
                select(tables.publishers.c.name).where(tables.publishers.c.key == digest_of(secret))
            ).scalar()
        if found is None:
            raise HubKeyRefused
        return str(found)

    def device(self, secret: str) -> Orders:
        """What the device with that key is to do. Raises HubKeyRefused."""
        with self._engine.connect() as here:
            row = here.execute(select(tables.devices).where(tables.devices.c.key == digest_of(secret))).first()
        if row is None:
            raise HubKeyRefused
        return self._orders(row)

    def anybody(self, secret: str) -> None:
        """Raises HubKeyRefused for who is neither a publisher nor a device."""
        try:
            self.publisher(secret)
        except AccessError:
            self.device(secret)

    # roots and releases

    def root(self, version: int) -> bytes:
        """The document of a root. Raises NoRoot."""
        with self._engine.connect() as here:
            found = here.execute(select(tables.roots.c.document).where(tables.roots.c.version == version)).scalar()
        if found is None:
            raise NoRoot(hub=HERE)
        return bytes(found)

    def add_root(self, content: bytes) -> int:
        """The first root, or the next; its version. Raises ReleaseRefused, Overtaken."""
        with self._engine.begin() as here:
            before = self._known(here)
            known = release_file.pin(content) if before is None else release_file.rotate(before[0], [content])
            version = known.root.version
            if before is None or version > before[0].root.version:
                self._remember(here, known, before, "root")
                here.execute(insert(tables.roots).values(version=version, document=content))
        return version

    def release(self, name: str) -> tuple[bytes, str]:
        """The document of a model's release, and its SHA-256. Raises NothingPublished."""
        with self._engine.connect() as here:
            row = here.execute(select(tables.releases).where(tables.releases.c.name == name)).first()
        if row is None:
            raise NothingPublished(hub=HERE, model=name)
        return bytes(row.document), row.sha256

    def released(self) -> list[Released]:
        """Every model."""
        with self._engine.connect() as here:
            rows = here.execute(select(tables.releases).order_by(tables.releases.c.name)).all()
        return [Released(row.name, row.counter, row.sha256) for row in rows]

    def add_release(self, name: str, content: bytes) -> Release:
        """A model's next release, whose versions must be here. Raises ReleaseRefused, NoRoot, NothingPublished,
        Overtaken."""
        with self._engine.begin() as here:
            before = self._known(here)
            if before is None:
                raise NoRoot(hub=HERE)
            release, known = release_file.check(content, before[0], name)
            for target in release.channels.values():
                column = tables.versions.c.digest
                if here.execute(select(column).where(column == target.manifest)).scalar() is None:
                    raise NothingPublished(hub=HERE, model=f"{name}@{target.version}")
            self._remember(here, known, before, name)
            here.execute(delete(tables.releases).where(tables.releases.c.name == name))
            sha256 = hashlib.sha256(content).hexdigest()
            here.execute(
                insert(tables.releases).values(name=name, counter=release.counter, sha256=sha256, document=content)
            )
        return release

    def _known(self, here: Connection) -> tuple[Known, bytes] | None:
        content = here.execute(select(tables.known.c.content)).scalar()
        return None if content is None else (msgspec.json.decode(content, type=Known), bytes(content))

    def _remember(self, here: Connection, known: Known, before: tuple[Known, bytes] | None, what: str) -> None:
        """In place of what was there before, and of nothing else."""
        content = msgspec.json.encode(known)
        if before is None:
            try:
                here.execute(insert(tables.known).values(id=1, content=content))
            except IntegrityError as error:
                raise Overtaken(model=what) from error
            return
        changed = here.execute(update(tables.known).where(tables.known.c.content == before[1]).values(content=content))
        if changed.rowcount != 1:
            raise Overtaken(model=what)

    # versions and chunks

    def missing(self, wanted: Iterable[str]) -> list[str]:
        """Which of these chunks (in hex) are not here."""
        every = list(dict.fromkeys(wanted))
        there: set[str] = set()
        column = tables.chunks.c.digest
        with self._engine.connect() as here:
            for first in range(0, len(every), AT_ONCE):
                there.update(here.execute(select(column).where(column.in_(every[first : first + AT_ONCE]))).scalars())
        return [each for each in every if each not in there]

    def chunk(self, digest: str) -> int | None:
        """How many bytes a chunk has; None where it is not here."""
        with self._engine.connect() as here:
            found = here.execute(select(tables.chunks.c.bytes).where(tables.chunks.c.digest == digest)).scalar()
        return None if found is None else int(found)

    def add_chunk(self, digest: str, size: int) -> None:
        """The bytes of a chunk are kept. Twice is fine."""
        try:
            with self._engine.begin() as here:
                here.execute(insert(tables.chunks).values(digest=digest, bytes=size))
        except IntegrityError:  # it is there
            return

    def add_version(self, content: bytes) -> Index:
        """A version whose chunks are here; with other signatures it takes the place of itself. Raises BadIndex,
        BadFilePath, BadName, Incomplete."""
        found = indexes.decode(content, "version")
        name = name_of(found.name)
        lacking = self.missing(chunk.name for chunk in found.cuts.chunks())
        if lacking:
            raise Incomplete(model=found.name, count=len(lacking))
        size = sum(layout.bytes for layout in found.cuts.files)
        sha256 = hashlib.sha256(content).hexdigest()
        with self._engine.begin() as here:
            here.execute(delete(tables.versions).where(tables.versions.c.digest == found.digest))
            here.execute(
                insert(tables.versions).values(
                    digest=found.digest, name=name, number=found.number, bytes=size, sha256=sha256, content=content
                )
            )
        return found

    def version(self, digest: str) -> tuple[bytes, str]:
        """The index of a version, and its SHA-256. Raises NothingPublished."""
        with self._engine.connect() as here:
            row = here.execute(select(tables.versions).where(tables.versions.c.digest == digest)).first()
        if row is None:
            raise NothingPublished(hub=HERE, model=digest[:12])
        return bytes(row.content), row.sha256

    def versions(self) -> list[tuple[str, int, str, int]]:
        """Name, number, digest and bytes of each version."""
        columns = (tables.versions.c.name, tables.versions.c.number, tables.versions.c.digest, tables.versions.c.bytes)
        with self._engine.connect() as here:
            return [tuple(row) for row in here.execute(select(*columns).order_by(*columns[:2]))]

    # devices

    def add_token(self, secret: str, wish: Wish) -> None:
        """A token that lets one device in."""
        expires = _text(_now() + timedelta(hours=wish.hours))
        with self._engine.begin() as here:
            here.execute(
                insert(tables.tokens).values(
                    digest=digest_of(secret), wish=msgspec.json.encode(wish).decode(), expires=expires, device=""
                )
            )

    def enrol(self, asked: Enrolment) -> Orders:
        """A new device, or the same one that asks again. Raises BadToken, TokenUsed, TokenExpired."""
        token, key = digest_of(asked.token), digest_of(asked.key)
        id = token_hex(8)
        with self._engine.begin() as here:
            row = here.execute(select(tables.tokens).where(tables.tokens.c.digest == token)).first()
            if row is None:
                raise BadToken(detail="the hub does not know it")
            again = here.execute(select(tables.devices).where(tables.devices.c.key == key)).first()
            if again is not None and row.device == again.id:
                return self._orders(again)
            if row.expires <= _text(_now()):
                raise TokenExpired(when=row.expires)
            free = (tables.tokens.c.digest == token) & (tables.tokens.c.device == "")
            if here.execute(update(tables.tokens).where(free).values(device=id)).rowcount != 1:
                raise TokenUsed
            wish = msgspec.json.decode(row.wish, type=Wish)
            now = _text(_now())
            here.execute(
                insert(tables.devices).values(
                    id=id,
                    name=asked.name,
                    key=key,
                    channel=wish.channel,
                    models=msgspec.json.encode(wish.models).decode(),
                    platform=asked.platform,
                    joined=now,
                    seen=now,
                    state="{}",
                )
            )
        return Orders(id, asked.name, wish.channel, wish.models, self.every, self.mirrors)

    def report(self, device: str, state: State) -> None:
        """How a device fares."""
        values = {"state": msgspec.json.encode(state).decode(), "seen": _text(_now())}
        with self._engine.begin() as here:
            here.execute(update(tables.devices).where(tables.devices.c.id == device).values(**values))

    def devices(self) -> list[Device]:
        """Every device."""
        with self._engine.connect() as here:
            rows = here.execute(select(tables.devices).order_by(tables.devices.c.name, tables.devices.c.id)).all()
        return [
            Device(
                row.id,
                row.name,
                row.channel,
                msgspec.json.decode(row.models, type=tuple[str, ...]),
                row.platform,
                row.joined,
                row.seen,
                msgspec.json.decode(row.state, type=State),
            )
            for row in rows
        ]

    def change(self, device: str, change: Change) -> bool:
        """Give a device (by id or name) other orders; whether there is one."""
        values = {} if change.channel is None else {"channel": change.channel}
        if change.models is not None:
            values["models"] = msgspec.json.encode(change.models).decode()
        who = (tables.devices.c.id == device) | (tables.devices.c.name == device)
        with self._engine.begin() as here:
            if not values:
                return here.execute(select(tables.devices.c.id).where(who)).first() is not None
            return here.execute(update(tables.devices).where(who).values(**values)).rowcount > 0

    def forget(self, device: str) -> bool:
        """Let a device (by id or name) in no more; whether there was one."""
        who = (tables.devices.c.id == device) | (tables.devices.c.name == device)
        with self._engine.begin() as here:
            return here.execute(delete(tables.devices).where(who)).rowcount > 0

    def _orders(self, row: Row[Any]) -> Orders:
        found = row._mapping
        models = msgspec.json.decode(found["models"], type=tuple[str, ...])
        return Orders(found["id"], found["name"], found["channel"], models, self.every, self.mirrors)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _text(when: datetime) -> str:
    """RFC 3339 in UTC to the second: sorts as time does."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
