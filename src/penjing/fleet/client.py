"""A hub as devices and publishers ask it. Plain functions; errors of the hub come back as what they are.

Does not know: what is done with the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from penjing.errors import PenjingError
from penjing.fleet import wire
from penjing.fleet.faults import (
    BadHub,
    BadToken,
    HubAway,
    HubKeyRefused,
    HubRefused,
    NoRoot,
    NoSuchDevice,
    NothingPublished,
    TokenExpired,
    TokenUsed,
)
from penjing.sources.client import CertificateRefused, Client, Question
from penjing.sources.faults import ForeignAnswer, SourceFailed, SourceUnreachable
from penjing.sources.loop import Loop
from penjing.sources.patience import Patience
from penjing.store.bundle import PAGE, Page

if TYPE_CHECKING:
    from penjing.sources.reply import Reply

T = TypeVar("T")
LARGEST = 64 << 20
AT_ONCE = 4
"""Chunks that are sent at the same time."""
KNOWN: tuple[type[PenjingError], ...] = (
    BadToken,
    TokenUsed,
    TokenExpired,
    HubKeyRefused,
    NoRoot,
    NothingPublished,
    NoSuchDevice,
)
"""Errors that are raised here as the hub raised them; all others are HubRefused."""


class Fault(msgspec.Struct):
    """`error` of an answer."""

    code: str = ""
    message: str = ""
    facts: dict[str, str] = {}


class Refusal(msgspec.Struct):
    """The body of an answer that is none."""

    error: Fault


def address(text: str) -> str:
    """The address of a hub, without a slash at its end. Raises BadHub."""
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not parts.query
    except ValueError:  # a port that is none
        sound = False
    if not sound or parts.username is not None:
        raise BadHub(value=text)
    return url


class Hub:
    """The hub at `url`, asked with `key` ("" without). A context manager. Methods raise NetworkError, HubRefused, and
    the KNOWN errors."""

    def __init__(self, url: str, key: str = "", patience: Patience | None = None) -> None:
        self.url = address(url)
        self.secrets = {"Authorization": f"Bearer {key}"} if key else {}
        self._patience = patience
        self._stack = ExitStack()

    def __enter__(self) -> Hub:
        with ExitStack() as stack:
            self._loop = stack.enter_context(Loop())
            self._client = Client(self._patience)
            self._loop.run(self._client.__aenter__())
            stack.callback(lambda: self._loop.run(self._client.__aexit__()))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of an answer."""
        return self._run(self._ask(method, path, body))

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        async def handle(reply: Reply) -> bytes:
            content = await reply.read(LARGEST)
            if reply.status not in (200, 201, 204):
                raise self._fault(reply.status, content)
            return content

        question = Question(f"{self.url}/{path}", self.secrets, method, body=body)
        return await self._client.fetch(question, handle)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._loop.run(work)
        except CertificateRefused:
            raise
        except (SourceUnreachable, SourceFailed) as error:
            raise HubAway(hub=self.url, detail=error.message("en")) from error

    def _fault(self, status: int, content: bytes) -> PenjingError:
        try:
            fault = msgspec.json.decode(content, type=Refusal).error
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ForeignAnswer(url=self.url, detail=f"HTTP {status} without penjing's words; it is no hub")
        kind = next((each for each in KNOWN if each.code == fault.code), None)
        if kind is None:
            return HubRefused(hub=self.url, detail=fault.message)
        return kind(**{**fault.facts, "hub": self.url})

    def _json(self, kind: type[T], method: str, path: str, value: object = None) -> T:
        content = self.ask(method, path, None if value is None else msgspec.json.encode(value))
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ForeignAnswer(url=f"{self.url}/{path}", detail=str(error)) from error

    # documents

    def root(self, version: int) -> bytes:
        """A root. Raises NoRoot."""
        return self.ask("GET", f"v1/roots/{version}")

    def later_roots(self, version: int) -> list[bytes]:
        """The roots after that one."""
        found: list[bytes] = []
        while (document := self._root_or_none(version + len(found) + 1)) is not None:
            found.append(document)
        return found

    def _root_or_none(self, version: int) -> bytes | None:
        try:
            return self.root(version)
        except NoRoot:
            return None

    def released(self) -> list[wire.Released]:
        """Every model."""
        return self._json(list[wire.Released], "GET", "v1/releases")

    def contents(self) -> Page:
        """Every version, unsigned: for people."""
        return self._json(Page, "GET", PAGE)

    def release(self, name: str) -> bytes:
        """The signed release of a model. Raises NothingPublished."""
        return self.ask("GET", f"v1/releases/{quote(name)}")

    def version(self, digest: str) -> bytes:
        """The index of a version. Raises NothingPublished."""
        return self.ask("GET", f"versions/{digest}")

    # publishers

    def missing(self, chunks: Iterable[str]) -> set[str]:
        """Of these chunks (in hex) those that are not there."""
        return set(self._json(wire.Missing, "POST", "v1/missing", wire.Missing(tuple(chunks))).chunks)

    def put_chunks(self, chunks: Iterator[tuple[str, bytes]], sent: Callable[[int], None]) -> None:
        """Send chunks, some at once. `sent` is told the bytes of each that is there."""
        flying: set[asyncio.Task[int]] = set()

        async def put(digest: str, content: bytes) -> int:
            await self._ask("PUT", f"chunks/{digest[:2]}/{digest}", content)
            return len(content)

        async def one_more() -> bool:
            found = next(chunks, None) if len(flying) < AT_ONCE else None
            if found is not None:
                flying.add(asyncio.create_task(put(*found)))
            if found is None or len(flying) == AT_ONCE:
                done, _ = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED) if flying else (set(), None)
                for each in done:
                    flying.discard(each)
                    sent(each.result())
            return found is not None or bool(flying)

        while self._run(one_more()):
            pass

    def put_version(self, digest: str, content: bytes) -> None:
        """Send a version whose chunks are there."""
        self.ask("PUT", f"versions/{digest}", content)

    def put_root(self, content: bytes) -> None:
        """Send the first root, or the next one."""
        self.ask("PUT", "v1/roots", content)

    def put_release(self, name: str, content: bytes) -> None:
        """Send a model's next release."""
        self.ask("PUT", f"v1/releases/{quote(name)}", content)

    def token(self, wish: wire.Wish) -> str:
        """A token that lets one device in."""
        return self._json(dict[str, str], "POST", "v1/tokens", wish)["token"]

    def devices(self) -> list[wire.Device]:
        """Every device."""
        return self._json(list[wire.Device], "GET", "v1/devices")

    def change(self, who: str, change: wire.Change) -> None:
        """Give a device other orders. Raises NoSuchDevice."""
        self.ask("PATCH", f"v1/devices/{quote(who, safe='')}", msgspec.json.encode(change))

    def forget(self, who: str) -> None:
        """Let a device in no more. Raises NoSuchDevice."""
        self.ask("DELETE", f"v1/devices/{quote(who, safe='')}")

    # devices

    def enrol(self, asked: wire.Enrolment) -> wire.Orders:
        """Become a device. Raises BadToken."""
        return self._json(wire.Orders, "POST", "v1/enrol", asked)

    def state(self, state: wire.State) -> wire.Orders:
        """Say how this device fares. Raises HubKeyRefused."""
        return self._json(wire.Orders, "POST", "v1/state", state)

    def leave(self) -> None:
        """This device leaves. Raises HubKeyRefused."""
        self.ask("DELETE", "v1/me")
