"""A model hub on this machine that speaks the Hub's protocol over real sockets, with the faults of real networks.

Two servers: the hub, and the host that holds large files, to which the hub redirects with a signed address. What
`huggingface_hub` itself makes of it is tested in tests/sources/test_the_hub_is_real.py.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from aiohttp import web

COMMIT = "3f2a1c" + "0" * 34
LARGE = (".gguf", ".safetensors", ".bin")
RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Repository:
    """`files` are its content. `token`: who may see it (with `gated`: its files only)."""

    files: dict[str, bytes]
    licence: str = "apache-2.0"
    gated: bool = False
    token: str = ""
    parameters: dict[str, int] = field(default_factory=dict)


@dataclass
class Asked:
    """One request as it came: `role` is `hub` or `store`."""

    role: str
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Faults:
    """What goes wrong. Each list is used up from the front, one entry a matching request.

    `statuses`: (role, status, headers) to answer instead. `resets`: bytes after which the connection of a large file
    is cut. `short`: bytes that the large files' host lacks of what the hub says. `damaged`: paths with a byte changed.
    `without_ranges`: the large files' host knows none. `expires`: signed addresses are good for so many requests.
    `pause`: seconds before each `block` of a large file."""

    statuses: list[tuple[str, int, dict[str, str]]] = field(default_factory=list)
    resets: list[int] = field(default_factory=list)
    short: int = 0
    damaged: set[str] = field(default_factory=set)
    without_ranges: bool = False
    expires: int = 1 << 30
    pause: float = 0.0
    block: int = 1 << 16


@dataclass
class Hub:
    """A running one. `moved` counts bytes of bodies that the large files' host sent."""

    repositories: dict[str, Repository]
    page: int = 1000
    faults: Faults = field(default_factory=Faults)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    store_url: str = ""
    moved: int = 0
    signatures: dict[str, int] = field(default_factory=dict)

    def requests(self, role: str) -> list[Asked]:
        """Those to one of the two servers."""
        return [asked for asked in self.asked if asked.role == role]

    async def about(self, request: web.Request) -> web.StreamResponse:
        """`/api/models/OWNER/REPO/revision/REV`."""
        found = self._repository(request)
        if isinstance(found, web.Response):
            return found
        name, repository = found
        if request.match_info["revision"] not in ("main", COMMIT):
            return refused(404, "RevisionNotFound", "Invalid rev id")
        body: dict[str, object] = {
            "id": name,
            "sha": COMMIT,
            "private": False,
            "gated": "manual" if repository.gated else False,
            "tags": [f"license:{repository.licence}"],
            "cardData": {"license": repository.licence},
            "siblings": [{"rfilename": path} for path in repository.files],
        }
        if repository.parameters:
            total = sum(repository.parameters.values())
            body["safetensors"] = {"parameters": repository.parameters, "total": total}
        return web.json_response(body)

    async def tree(self, request: web.Request) -> web.StreamResponse:
        """`/api/models/OWNER/REPO/tree/REV?recursive=true`, `page` files at a time."""
        found = self._repository(request)
        if isinstance(found, web.Response):
            return found
        _, repository = found
        assert request.query.get("recursive", "").lower() in ("true", "1"), "only the recursive form is served"
        begin = int(request.query.get("cursor", "0"))
        paths = sorted(repository.files)
        entries: list[dict[str, object]] = [describe(path, repository.files[path]) for path in paths]
        folders = {path.rpartition("/")[0] for path in paths} - {""}
        entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": name} for name in folders] + entries
        headers = {}
        if begin + self.page < len(entries):
            following = request.url.update_query(cursor=str(begin + self.page))
            headers["Link"] = f'<{following}>; rel="next"'
        return web.json_response(entries[begin : begin + self.page], headers=headers)

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        """`/OWNER/REPO/resolve/REV/PATH`: small files from here, large ones from the other host."""
        found = self._repository(request)
        if isinstance(found, web.Response):
            return found
        name, repository = found
        if repository.gated and not self._allowed(request, repository):
            status = 403 if "Authorization" in request.headers else 401
            return refused(status, "GatedRepo", f"Access to model {name} is restricted.")
        if request.match_info["revision"] not in ("main", COMMIT):
            return refused(404, "RevisionNotFound", "Invalid rev id")
        path = request.match_info["path"]
        if path not in repository.files:
            return refused(404, "EntryNotFound", "Entry not found")
        content = repository.files[path]
        headers = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if not path.endswith(LARGE):
            headers["ETag"] = f'"{git_digest(content)}"'
            return await self._send(request, content, headers, "hub")
        digest = hashlib.sha256(content).hexdigest()
        signature = f"{len(self.signatures):x}"
        self.signatures[signature] = self.faults.expires
        location = f"{self.store_url}/{quote(name)}/{quote(path)}?X-Amz-Signature={signature}"
        headers |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{digest}"', "ETag": f'"{digest}"'}
        return web.Response(status=302, headers={**headers, "Location": location})

    async def large(self, request: web.Request) -> web.StreamResponse:
        """The other host: it wants the signature and no token."""
        signature = request.query.get("X-Amz-Signature", "")
        if self.signatures.get(signature, 0) <= 0:
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>", content_type="text/xml")
        assert "Authorization" not in request.headers, "the token was sent to another host"
        self.signatures[signature] -= 1
        name, path = request.match_info["name"], request.match_info["path"]
        content = self.repositories[name].files[path]
        if path in self.faults.damaged:
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        content = content[: len(content) - self.faults.short]
        return await self._send(request, content, {"ETag": f'"{len(content):x}"'}, "store")

    def _repository(self, request: web.Request) -> tuple[str, Repository] | web.Response:
        name = request.match_info["name"]
        repository = self.repositories.get(name)
        hidden = repository is not None and repository.token and not repository.gated
        if repository is None or (hidden and not self._allowed(request, repository)):
            status = 404 if "Authorization" in request.headers else 401
            return refused(status, "RepoNotFound", "Repository not found")
        return name, repository

    def _allowed(self, request: web.Request, repository: Repository) -> bool:
        return bool(repository.token) and request.headers.get("Authorization") == f"Bearer {repository.token}"

    async def _send(
        self, request: web.Request, content: bytes, headers: dict[str, str], role: str
    ) -> web.StreamResponse:
        first, stop, status = 0, len(content), 200
        asked = RANGE.fullmatch(request.headers.get("Range", ""))
        same = request.headers.get("If-Range") in (None, headers.get("ETag"))
        if asked and same and not (role == "store" and self.faults.without_ranges):
            first = int(asked[1])
            stop = min(int(asked[2]) + 1, len(content)) if asked[2] else len(content)
            if first >= len(content):
                return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
            headers = {**headers, "Content-Range": f"bytes {first}-{stop - 1}/{len(content)}"}
            status = 206
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = stop - first
        response.content_type = "application/octet-stream"
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        await self._body(request, response, content[first:stop], role)
        return response

    async def _body(self, request: web.Request, response: web.StreamResponse, content: bytes, role: str) -> None:
        cut = self.faults.resets.pop(0) if role == "store" and self.faults.resets else -1
        block = self.faults.block
        for at in range(0, len(content), block):
            if 0 <= cut <= at:
                transport = request.transport
                assert transport is not None
                transport.abort()
                return
            if self.faults.pause and role == "store":
                await asyncio.sleep(self.faults.pause)
            piece = content[at : at + block]
            self.moved += len(piece) if role == "store" else 0
            await response.write(piece)

    def watching(self, role: str) -> Callable[..., object]:
        """Middleware that notes each request, and answers with a fault where one is due."""

        @web.middleware
        async def middleware(request: web.Request, handler: Callable[[web.Request], object]) -> web.StreamResponse:
            self.asked.append(Asked(role, request.method, request.path, dict(request.headers)))
            for number, (where, status, headers) in enumerate(self.faults.statuses):
                if where == role:
                    del self.faults.statuses[number]
                    return web.Response(status=status, headers=headers, text="not now")
            return await handler(request)  # type: ignore[misc, no-any-return]

        return middleware


def refused(status: int, code: str, message: str) -> web.Response:
    """As the Hub refuses: the reason is in headers."""
    return web.json_response(
        {"error": message}, status=status, headers={"X-Error-Code": code, "X-Error-Message": message}
    )


def describe(path: str, content: bytes) -> dict[str, object]:
    """One entry of a tree: a large file is an LFS pointer with its content's SHA-256."""
    if not path.endswith(LARGE):
        return {"type": "file", "oid": git_digest(content), "size": len(content), "path": path}
    digest = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n".encode()
    return {
        "type": "file",
        "oid": git_digest(pointer),
        "size": len(content),
        "path": path,
        "lfs": {"oid": digest, "size": len(content), "pointerSize": len(pointer)},
        "xetHash": hashlib.sha256(digest.encode()).hexdigest(),
    }


def git_digest(content: bytes) -> str:
    """What git calls a file: the SHA-1 of `blob SIZE\\0` and its content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serving(repositories: dict[str, Repository], page: int = 1000) -> Iterator[Hub]:
    """A hub with these repositories, on threads of its own until the block ends."""
    hub = Hub(repositories, page)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runners: list[web.AppRunner] = []
    listeners: list[asyncio.Server] = []

    async def begin() -> None:
        front = web.Application(middlewares=[hub.watching("hub")])
        front.router.add_get(r"/api/models/{name:[^/]+/[^/]+}/revision/{revision}", hub.about)
        front.router.add_get(r"/api/models/{name:[^/]+/[^/]+}/tree/{revision}", hub.tree)
        front.router.add_get(r"/{name:[^/]+/[^/]+}/resolve/{revision}/{path:.+}", hub.resolve)
        store = web.Application(middlewares=[hub.watching("store")])
        store.router.add_get(r"/{name:[^/]+/[^/]+}/{path:.+}", hub.large)
        hub.url, hub.store_url = await begin_one(front, "127.0.0.1"), await begin_one(store, "localhost")

    async def begin_one(app: web.Application, host: str) -> str:
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        runners.append(runner)
        assert runner.server is not None
        listener = await loop.create_server(runner.server, "127.0.0.1", 0)
        listeners.append(listener)
        return f"http://{host}:{listener.sockets[0].getsockname()[1]}"

    async def end() -> None:
        for listener in listeners:  # asyncio drops, unclosed, what it accepted and has not begun when this is closed
            for each in listener.sockets:
                loop.remove_reader(each.fileno())
        await asyncio.sleep(0)
        for listener in listeners:
            listener.close()
        servers = [runner.server for runner in runners if runner.server is not None]
        open_ones = [each.transport for server in servers for each in server.connections if each.transport is not None]
        for runner in runners:
            await runner.cleanup()
        for transport in open_ones:  # one whose client left with half an answer unread would wait for ever to be closed
            transport.abort()
        await asyncio.sleep(0.01)

    try:
        asyncio.run_coroutine_threadsafe(begin(), loop).result()
        yield hub
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
