"""A real Chromium on the real page: in front of `penjing serve`, and of a gateway in this process that says what a test
wants said."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.running import Process, finish, launch
from penjing.engines.fake import Fake, Script
from penjing.gateway.app import Gateway
from penjing.gateway.options import GatewayOptions
from penjing.gateway.serve import Said, bind, serve

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Playwright

PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PATIENCE = 60.0
ANSWERED = ".message.assistant[aria-busy=false]"


@pytest.fixture(autouse=True, scope="module")
def home_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """API keys that whoever runs the tests has made would close every gateway here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENJING_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """One module long: its loop runs while it is there, and nobody else in this process could run one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


@dataclass
class Visitor:
    """A person with a browser of their own, which may be closed and opened again. Whatever the page complained about is
    in `complaints`."""

    playwright: Playwright
    profile: Path
    options: dict[str, Any]
    keeps: bool
    """Whether the page may take the model and its engine with it; most tests have no need to."""
    complaints: list[str] = field(default_factory=list)
    context: BrowserContext | None = None

    def page(self, url: str = "") -> Page:
        if self.context is None:
            chromium = shutil.which("chromium")
            if chromium is None:
                pytest.skip("needs Chromium from the system's packages: apt install chromium")
            self.context = self.playwright.chromium.launch_persistent_context(
                str(self.profile),
                executable_path=chromium,
                args=["--no-sandbox"],
                **{"locale": "en-US", **self.options},
            )
            if not self.keeps:
                for part in ("**/models/**", "**/wasm/**"):
                    self.context.route(part, lambda route: route.abort())
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._heard)
        if url:
            page.goto(url)
        return page

    def _heard(self, message: Any) -> None:
        refused = "Content Security Policy" in message.text or "Content-Security-Policy" in message.text
        if message.type == "error" and refused:
            self.complaints.append(message.text)

    def close(self) -> None:
        if self.context is not None:
            self.context.close()
            self.context = None


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(playwright: Playwright, tmp_path: Path) -> Iterator[Visit]:
    """`visit(keeps, **options)`: a visitor with an empty browser; the page must not have complained at the end."""
    visitors: list[Visitor] = []

    def make(keeps: bool = False, **options: Any) -> Visitor:
        visitors.append(Visitor(playwright, tmp_path / f"profile-{len(visitors)}", options or DESK, keeps))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.close()
        assert visitor.complaints == []


@pytest.fixture(scope="module")
def guide() -> Iterator[Process]:
    """A real server with the built-in model."""
    server = launch("--parallel", "2")
    yield server
    finish(server)


@contextmanager
def saying(script: Script, options: GatewayOptions | None = None, **others: Script) -> Iterator[str]:
    """The URL of a gateway in a thread of its own, in front of an engine `fake` that says what `script` holds, and of
    `others` by their names."""
    loop = asyncio.new_event_loop()
    said: list[Said] = []
    ready = threading.Event()

    def hear(what: Said) -> None:
        said.append(what)
        if what.event == "ready":
            ready.set()

    gateway = Gateway({name: Fake(each, name) for name, each in {"fake": script, **others}.items()}, options)
    listener = bind("127.0.0.1", 0)
    task = loop.create_task(serve(gateway, listener, announce=hear, drain_seconds=1))

    def run() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(30)
    try:
        yield said[0].url
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(30)


def ask(page: Page, text: str) -> str:
    """Ask, wait until the answer is there, and read it."""
    before = page.locator(ANSWERED).count()
    page.fill("#write", text)
    page.click(".writer.main .primary")
    page.locator(ANSWERED).nth(before).wait_for(timeout=60_000)
    return page.locator(ANSWERED).nth(before).locator(".markdown").inner_text()


def item(page: Page, name: str) -> None:
    """Choose from the menu of the first conversation in the list."""
    page.locator(".head").first.hover()
    page.locator(".head .menu > button").first.click()
    page.get_by_role("menuitem", name=name).click()


def option(page: Page, model: str) -> None:
    """Choose a model of the server."""
    page.locator(f".picker option[value='server:{model}']").wait_for(state="attached")
    page.locator(".picker select").select_option(f"server:{model}")


def until(page: Page, script: str, holds: Callable[[Any], bool], what: str) -> None:
    """Wait until what `script` finds is as it should be; the page may be loaded again meanwhile."""
    from playwright.sync_api import Error

    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with suppress(Error):
            if holds(page.evaluate(script)):
                return
        page.wait_for_timeout(100)
    pytest.fail(f"never happened: {what}")


def setting(page: Page, **values: Any) -> None:
    """Set what the settings dialog sets, for the next load of the page."""
    page.evaluate(
        """values => localStorage.setItem("penjing.settings", JSON.stringify(
            {...JSON.parse(localStorage.getItem("penjing.settings") ?? "{}"), ...values}))""",
        values,
    )
