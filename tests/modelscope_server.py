"""ModelScope's protocol on this machine, as modelscope_hub 0.5 speaks it."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

LARGE = (".gguf", ".safetensors")


@dataclass
class Server:
    """`files` of `o/r`; with `token` only for who has it."""

    files: dict[str, bytes]
    token: str = ""
    url: str = ""
    paths: list[str] = field(default_factory=list)

    def _refused(self, request: web.Request) -> web.Response | None:
        self.paths.append(request.path_qs)
        name = request.match_info["name"]
        allowed = not self.token or (
            request.headers.get("Authorization") == f"Bearer {self.token}"
            and request.cookies.get("m_session_id") == self.token
        )
        if name == "o/r" and allowed:
            return None
        body = {"Code": 10010205001, "Data": None, "Message": "获取模型信息失败，信息不存在", "Success": False}
        return web.json_response(body, status=404)

    async def about(self, request: web.Request) -> web.StreamResponse:
        refused = self._refused(request)
        data = {"Name": "r", "Path": "o", "License": "Apache License 2.0", "Visibility": 5}
        return refused or web.json_response({"Code": 200, "Data": data, "Message": "success", "Success": True})

    async def listing(self, request: web.Request) -> web.StreamResponse:
        refused = self._refused(request)
        if refused:
            return refused
        assert request.query["Recursive"] == "True"
        if request.query["Revision"] != "master":
            body = {"Code": 10010205001, "Data": None, "Message": "revision not found", "Success": False}
            return web.json_response(body, status=404)
        files = [
            {
                "Name": path.rpartition("/")[2],
                "Path": path,
                "Size": len(content),
                "Type": "blob",
                "IsLFS": path.endswith(LARGE),
                "Sha256": hashlib.sha256(content).hexdigest(),
                "Revision": "c" * 40,
            }
            for path, content in self.files.items()
        ]
        files.append({"Name": "sub", "Path": "sub", "Size": 0, "Type": "tree", "Sha256": "", "IsLFS": False})
        return web.json_response({"Code": 200, "Data": {"Files": files}, "Message": "success", "Success": True})

    async def content(self, request: web.Request) -> web.StreamResponse:
        refused = self._refused(request)
        if refused:
            return refused
        content = self.files[request.query["FilePath"]]
        asked = request.http_range
        begin, stop = asked.start or 0, min(asked.stop or len(content), len(content))
        headers = {"Content-Range": f"bytes {begin}-{stop - 1}/{len(content)}"}
        status = 206 if "Range" in request.headers else 200
        return web.Response(body=content[begin:stop], status=status, headers=headers if status == 206 else {})


@contextmanager
def serving(files: dict[str, bytes], token: str = "") -> Iterator[Server]:
    server = Server(files, token)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    app = web.Application()
    app.router.add_get(r"/api/v1/models/{name:[^/]+/[^/]+}", server.about)
    app.router.add_get(r"/api/v1/models/{name:[^/]+/[^/]+}/repo/files", server.listing)
    app.router.add_get(r"/api/v1/models/{name:[^/]+/[^/]+}/repo", server.content)
    runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def begin() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    try:
        asyncio.run_coroutine_threadsafe(begin(), loop).result()
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
