"""The model inside the browser: kept, checked, and answering as the native engine does, with no server anywhere."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.running import Process, finish, launch
from penjing.export.offer import offer
from penjing.export.web import export
from penjing.store.resolve import guide as guide_path
from web.conftest import PHONE, Visit, Visitor, ask, setting, until

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request, Route

pytestmark = pytest.mark.extras

QUESTIONS = 50
ALIKE = 0.95
HALF = 3_000_000
KEPT = "() => JSON.parse(localStorage.getItem('penjing.models') ?? '[]').map(model => model.name)"


ENGINES = "() => caches.open('penjing-wasm').then(cache => cache.keys()).then(keys => keys.length)"
SIZES = """async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("models", {create: true});
    const handles = await Array.fromAsync(folder.values());
    return Promise.all(handles.map(handle => handle.getFile().then(file => file.size)));
}"""


def until_kept(page: Page) -> None:
    """Wait until the model and its engine are on the device."""
    until(page, KEPT, bool, "the model is here")
    until(page, ENGINES, bool, "its engine is here")


def held_out() -> list[str]:
    """Questions of the built-in model's yardstick that are one turn, from its whole breadth."""
    path = guide_path().parent / "yardstick.jsonl"
    rows = [json.loads(line)["messages"] for line in path.read_text(encoding="utf-8").splitlines()]
    single = [row[0]["content"] for row in rows if [each["role"] for each in row] == ["user", "assistant"]]
    return single[:: len(single) // QUESTIONS][:QUESTIONS]


def natively(server: Process, question: str) -> str:
    import urllib.request

    body = {"messages": [{"role": "user", "content": question}], "temperature": 0}
    asked = urllib.request.Request(f"{server.base}/chat/completions", json.dumps(body).encode())
    asked.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return str(json.load(answer)["choices"][0]["message"]["content"])


def read(page: Page) -> str:
    """The last answer as it was written, from where conversations are kept."""
    return str(
        page.evaluate(
            """() => new Promise((resolve, reject) => {
                const opening = indexedDB.open("penjing");
                opening.onerror = reject;
                opening.onsuccess = () => {
                    const all = opening.result.transaction("conversations").objectStore("conversations").getAll();
                    all.onsuccess = () => {
                        opening.result.close();
                        const newest = all.result.sort((a, b) => b.changed - a.changed)[0];
                        resolve(newest.messages.at(-1).text);
                    };
                };
            })"""
        )
    )


def test_one_visit_then_no_server_and_no_network(visit: Visit) -> None:
    server = launch("--parallel", "2")
    phone = visit(keeps=True, **PHONE)
    try:
        url = server.url
        questions = held_out()
        expected = [natively(server, question) for question in questions]
        page = phone.page(url)
        setting(page, sampling={"temperature": 0})
        until_kept(page)
    finally:
        phone.close()
        finish(server)
    page = phone.page()
    assert phone.context is not None
    phone.context.set_offline(True)
    page.goto(url)
    assert ask(page, questions[0])
    page.get_by_text("guide answers on this device").wait_for()
    alike = int(read(page).strip() == expected[0].strip())
    for question, answer in zip(questions[1:], expected[1:], strict=True):
        page.keyboard.press("Control+Shift+O")
        ask(page, question)
        alike += read(page).strip() == answer.strip()
    print(f"{alike} of {len(questions)} answers are the native engine's")
    assert alike >= ALIKE * len(questions)


def sent(path: Path, changes: Any) -> Any:
    """A route that answers a request for the model with what `changes` makes of it, once; then with the truth."""
    state = {"done": False}

    def answer(route: Route) -> None:
        if state["done"]:
            route.continue_()
        else:
            state["done"] = True
            route.fulfill(
                status=200, body=changes(path.read_bytes()), headers={"Content-Type": "application/octet-stream"}
            )

    return answer


def look(visitor: Visitor, url: str, changes: Any) -> Page:
    """Open the page, whose first fetch of the model gets what `changes` makes of it."""
    page = visitor.page()
    assert visitor.context is not None
    visitor.context.route("**/models/*.gguf", sent(guide_path(), changes))
    page.goto(url)
    return page


def test_a_download_that_broke_goes_on_where_it_was(guide: Process, visit: Visit) -> None:
    visitor = visit(keeps=True, **PHONE)
    page = look(visitor, guide.url, lambda whole: whole[:HALF])
    until(page, SIZES, lambda sizes: sizes == [HALF], "the first half is here")
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if request.url.endswith(".gguf") else None)
    assert visitor.context is not None
    visitor.context.on("request", lambda request: asked.append(request) if request.url.endswith(".gguf") else None)
    page.reload()
    until_kept(page)
    assert f"bytes={HALF}-" in [request.headers.get("range") for request in asked]


def test_a_corrupted_download_is_refused(guide: Process, visit: Visit) -> None:
    page = look(visit(keeps=True, **PHONE), guide.url, lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]))
    page.get_by_text("SHA-256 differs").wait_for()
    assert page.evaluate(KEPT) == []
    assert page.evaluate(SIZES) == []


def test_a_full_device_is_told(guide: Process, visit: Visit) -> None:
    visitor = visit(keeps=True, **PHONE)
    page = visitor.page()
    assert visitor.context is not None
    limit = {"origin": guide.url, "quotaSize": HALF}
    visitor.context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", limit)
    page.goto(guide.url)
    page.get_by_text("too full for it").first.wait_for()
    assert page.evaluate(KEPT) == []


@contextmanager
def hosted(folder: Path) -> Iterator[str]:
    """The URL of a static host that knows nothing of penjing."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    host = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=host.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{host.server_port}/"
    finally:
        host.shutdown()
        host.server_close()
        thread.join()


def test_the_exported_folder_needs_no_server_of_ours(visit: Visit, tmp_path: Path) -> None:
    export([offer(guide_path(), "guide")], tmp_path / "page")
    phone = visit(keeps=True, **PHONE)
    with hosted(tmp_path) as url:
        page = phone.page(f"{url}page/")
        until(page, "crossOriginIsolated", bool, "the page loaded once more, to be isolated")
        until_kept(page)
    assert "keys and values" in ask(page, "What is a KV cache?")
    phone.close()
    page = phone.page(f"{url}page/")
    assert "keys and values" in ask(page, "What is a KV cache?")
    assert page.locator(".banner").count() == 0
