"""The hub's HTTP, for devices, publishers and whoever reads the layout of `store.fetch` (`penjing store import URL`).

    GET  /index.json  /versions/DIGEST  /chunks/AB/DIGEST        what any web server or CDN could give as well
    GET  /files/DIGEST/PATH                                      a file of a version, whole or in ranges
    GET  /v1/roots/N  /v1/releases  /v1/releases/NAME            signed documents
    POST /v1/enrol                                               a token becomes a device
    GET  /v1/orders   POST /v1/state   DELETE /v1/me             a device, with its key
    POST /v1/missing  PUT /chunks/... /versions/... /v1/roots    a publisher, with its key
    PUT  /v1/releases/NAME   POST /v1/tokens   GET /v1/devices   PATCH, DELETE /v1/devices/WHO

Errors are penjing's own: `{"error": {"code", "message", "hint", "facts"}}`. Handlers are plain functions, which FastAPI
runs in threads.

Does not know: where chunks are kept, which database it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Annotated, TypeVar

import msgspec
from fastapi import Depends, FastAPI, Request
from starlette.responses import JSONResponse, Response

import penjing
from penjing.errors import InvalidRequest, PenjingError
from penjing.fleet import wire
from penjing.fleet.faults import NoSuchDevice, NothingPublished
from penjing.fleet.hub.blobs import Blobs
from penjing.fleet.hub.ledger import HERE, Ledger
from penjing.fleet.hub.sending import changing, fixed
from penjing.fleet.hub.whole import Whole
from penjing.store import index as indexes
from penjing.store.bundle import Entry, Page
from penjing.store.faults import ForgedChunk
from penjing.store.index import LARGEST
from penjing.store.release_file import LARGEST as LARGEST_DOCUMENT
from penjing.store.release_file import Release

T = TypeVar("T")
Handler = Callable[..., Response]
HEX = re.compile(r"[0-9a-f]{64}")
LARGEST_INDEX = 64 << 20
OPEN = ("/health", "/v1/roots/")


class TooLong(InvalidRequest):
    """Facts: `most` (bytes)."""

    template = "The body is longer than {most} bytes."
    status = 413


def app(ledger: Ledger, blobs: Blobs, *, private: bool = False) -> FastAPI:
    """The hub over `ledger` and `blobs`. `private`: who reads versions and chunks needs a key too."""
    hub = FastAPI(title="penjing hub", version=penjing.__version__, docs_url=None, redoc_url=None)
    hub.add_exception_handler(PenjingError, refused)
    routes = Routes(ledger, blobs, private)
    readers = [Depends(routes.reader)]
    publishers = [Depends(routes.publisher)]
    for path, read in routes.reading().items():
        hub.add_api_route(path, read, methods=["GET", "HEAD"], dependencies=readers, response_model=None)
    for method, path, change in routes.publishing():
        hub.add_api_route(path, change, methods=[method], dependencies=publishers, response_model=None)
    for method, path, act in routes.devices():
        hub.add_api_route(path, act, methods=[method], response_model=None)
    return hub


async def refused(request: Request, error: Exception) -> Response:
    """A PenjingError as JSON."""
    assert isinstance(error, PenjingError)
    facts = {name: str(value) for name, value in error.facts.items()}
    said = {"code": error.code, "message": error.message("en"), "hint": error.advice("en"), "facts": facts}
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
    return JSONResponse({"error": said}, error.status, headers)


def bearer(request: Request) -> str:
    """The secret a request carries; "" without one."""
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


async def body(request: Request, most: int) -> bytes:
    """A request's body. Raises TooLong."""
    found = bytearray()
    async for piece in request.stream():
        found += piece
        if len(found) > most:
            raise TooLong(most=most)
    return bytes(found)


async def chunk_body(request: Request) -> bytes:
    return await body(request, LARGEST)


async def index_body(request: Request) -> bytes:
    return await body(request, LARGEST_INDEX)


async def document_body(request: Request) -> bytes:
    return await body(request, LARGEST_DOCUMENT)


Chunk = Annotated[bytes, Depends(chunk_body)]
Described = Annotated[bytes, Depends(index_body)]
Document = Annotated[bytes, Depends(document_body)]


def decoded(content: bytes, kind: type[T]) -> T:
    """JSON as a `kind`. Raises InvalidRequest."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(detail=str(error)) from error


def plain(value: object, status: int = 200) -> Response:
    """As JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


class Routes:
    """What stands behind the paths."""

    def __init__(self, ledger: Ledger, blobs: Blobs, private: bool) -> None:
        self._ledger, self._blobs, self._private = ledger, blobs, private

    def reading(self) -> dict[str, Handler]:
        """Paths that are read."""
        return {
            "/health": self.health,
            "/index.json": self.index,
            "/versions/{digest}": self.version,
            "/chunks/{beginning}/{digest}": self.chunk,
            "/files/{digest}/{path:path}": self.file,
            "/v1/roots/{number}": self.root,
            "/v1/releases": self.releases,
            "/v1/releases/{name:path}": self.release,
        }

    def publishing(self) -> list[tuple[str, str, Handler]]:
        """What publishers may."""
        return [
            ("POST", "/v1/missing", self.missing),
            ("PUT", "/chunks/{beginning}/{digest}", self.put_chunk),
            ("PUT", "/versions/{digest}", self.put_version),
            ("PUT", "/v1/roots", self.put_root),
            ("PUT", "/v1/releases/{name:path}", self.put_release),
            ("POST", "/v1/tokens", self.token),
            ("GET", "/v1/devices", self.every_device),
            ("PATCH", "/v1/devices/{who}", self.change_device),
            ("DELETE", "/v1/devices/{who}", self.forget_device),
        ]

    def devices(self) -> list[tuple[str, str, Handler]]:
        """What devices may."""
        return [
            ("POST", "/v1/enrol", self.enrol),
            ("GET", "/v1/orders", self.orders),
            ("POST", "/v1/state", self.state),
            ("DELETE", "/v1/me", self.leave),
        ]

    # who asks

    def reader(self, request: Request) -> None:
        """Anybody, or where the hub is private, who has a key. Roots are for all: who joins looks whether it is
        the right hub before it sends its token. Raises HubKeyRefused."""
        if self._private and not request.url.path.startswith(OPEN):
            self._ledger.anybody(bearer(request))

    def publisher(self, request: Request) -> None:
        """Raises HubKeyRefused."""
        self._ledger.publisher(bearer(request))

    # reading

    def health(self) -> Response:
        """Whether the database answers."""
        return plain({"status": "ok", "models": len(self._ledger.released()), "penjing": penjing.__version__})

    def index(self, request: Request) -> Response:
        """As `store.bundle` writes it: versions, and as tags the channels they are on."""
        tags: dict[str, list[str]] = {}
        for each in self._ledger.released():
            for channel, target in self._released(each.name).channels.items():
                tags.setdefault(target.manifest, []).append(channel)
        entries = [
            Entry(name=name, number=number, digest=digest, bytes=size, tags=tuple(sorted(tags.get(digest, ()))))
            for name, number, digest, size in self._ledger.versions()
        ]
        content = msgspec.json.encode(Page(versions=tuple(entries)))
        return changing(content, hashlib.sha256(content).hexdigest(), request.headers)

    def version(self, digest: str, request: Request) -> Response:
        """The index of a version. Signatures may be added, so that it may change."""
        content, sha256 = self._ledger.version(digest)
        return changing(content, sha256, request.headers, "application/octet-stream")

    def chunk(self, beginning: str, digest: str, request: Request) -> Response:
        """The bytes of a chunk."""
        size = self._ledger.chunk(digest) if digest.startswith(beginning) and HEX.fullmatch(digest) else None
        if size is None:
            raise NothingPublished(hub=HERE, model=f"chunk {digest}"[:40])

        def read(start: int, stop: int) -> Iterator[bytes]:
            yield self._blobs.read(digest, start, stop)

        return fixed(digest, size, read, request.headers, private=self._private)

    def file(self, digest: str, path: str, request: Request) -> Response:
        """A file of a version."""
        found = indexes.decode(self._ledger.version(digest)[0], digest)
        whole = Whole(found, path, self._blobs)
        promised = next(each.sha256 for each in found.described().files if each.path == path)
        return fixed(promised, whole.size, whole.read, request.headers, private=self._private)

    def root(self, number: int, request: Request) -> Response:
        """A root; it never changes."""
        content = self._ledger.root(number)
        return changing(content, hashlib.sha256(content).hexdigest(), request.headers)

    def releases(self, request: Request) -> Response:
        """Every model."""
        content = msgspec.json.encode(self._ledger.released())
        return changing(content, hashlib.sha256(content).hexdigest(), request.headers)

    def release(self, name: str, request: Request) -> Response:
        """The signed release of a model."""
        return changing(*self._ledger.release(name), request.headers)

    def _released(self, name: str) -> Release:
        class Outer(msgspec.Struct):
            signed: Release

        return msgspec.json.decode(self._ledger.release(name)[0], type=Outer).signed

    # publishing

    def missing(self, content: Described) -> Response:
        """Of some chunks, those that are not here."""
        return plain(wire.Missing(tuple(self._ledger.missing(decoded(content, wire.Missing).chunks))))

    def put_chunk(self, beginning: str, digest: str, content: Chunk) -> Response:
        """Keep a chunk, if it is what it is called."""
        if hashlib.sha256(content).hexdigest() != digest or not digest.startswith(beginning) or not content:
            raise ForgedChunk(source="The publisher", chunk=digest[:64], model="?")
        self._blobs.put(digest, content)
        self._ledger.add_chunk(digest, len(content))
        return Response(status_code=201)

    def put_version(self, digest: str, content: Described) -> Response:
        """Keep a version whose chunks are here."""
        if indexes.decode(content, digest).digest != digest:
            raise InvalidRequest(detail="This is another version than the address says.")
        self._ledger.add_version(content)
        return Response(status_code=201)

    def put_root(self, content: Document) -> Response:
        """The first root, or the next one."""
        return plain({"version": self._ledger.add_root(content)}, 201)

    def put_release(self, name: str, content: Document) -> Response:
        """A model's next release."""
        return plain({"counter": self._ledger.add_release(name, content).counter}, 201)

    def token(self, content: Document) -> Response:
        """A secret that lets one device in."""
        from penjing.fleet.token import new

        made = new(self._ledger.root(1))
        self._ledger.add_token(made.secret, decoded(content, wire.Wish))
        return plain({"token": str(made)}, 201)

    def every_device(self) -> Response:
        """All devices."""
        return plain(self._ledger.devices())

    def change_device(self, who: str, content: Document) -> Response:
        """Other orders for a device."""
        return self._found(self._ledger.change(who, decoded(content, wire.Change)), who)

    def forget_device(self, who: str) -> Response:
        """No entry for a device."""
        return self._found(self._ledger.forget(who), who)

    def _found(self, there: bool, who: str) -> Response:
        if not there:
            raise NoSuchDevice(device=who)
        return Response(status_code=204)

    # devices

    def enrol(self, content: Document) -> Response:
        """A token becomes a device."""
        return plain(self._ledger.enrol(decoded(content, wire.Enrolment)), 201)

    def orders(self, request: Request) -> Response:
        """What a device is to do."""
        return plain(self._ledger.device(bearer(request)))

    def state(self, request: Request, content: Document) -> Response:
        """How a device fares, and what it is to do."""
        orders = self._ledger.device(bearer(request))
        self._ledger.report(orders.device, decoded(content, wire.State))
        return plain(orders)

    def leave(self, request: Request) -> Response:
        """A device leaves."""
        self._ledger.forget(self._ledger.device(bearer(request)).device)
        return Response(status_code=204)
