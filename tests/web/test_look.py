"""How the page looks where it is narrow, dark or Chinese: nothing cut off, nothing that axe finds serious."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penjing.engines.fake import Script
from web.conftest import ANSWERED, DESK, PHONE, Visit, ask, saying

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.extras

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
WIDE = (
    "# Wide\n\n" + "x" * 300 + "\n\n```python\nprint('" + "y" * 300 + "')\n```\n\n| " + " | ".join("columns") + " |\n"
)
WIDE += "|--" * 7 + "|\n| " + " | ".join(["a rather long cell"] * 7) + " |\n\n- one\n- two\n\n> said\n"
SCRIPT = Script(tokens=tuple(WIDE[at : at + 40] for at in range(0, len(WIDE), 40)))
LOOKS = [
    {**screen, "locale": locale, "color_scheme": scheme}
    for screen in (PHONE, DESK)
    for locale, scheme in (("en-US", "light"), ("zh-CN", "dark"))
]


def serious(page: Page) -> list[str]:
    """What axe finds against WCAG 2.2 AA that is serious or worse (https://dequeuniversity.com/rules/axe)."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = page.evaluate("axe.run()")
    return [
        f"{each['id']}: {each['nodes'][0]['html']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look['viewport']['width']}-{look['locale']}")
def test_nothing_is_cut_off_and_everybody_can_use_it(visit: Visit, look: dict[str, Any]) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core comes with the page's own packages: make web")
    with saying(SCRIPT) as url:
        page = visit(**look).page(url)
        page.locator("#write").wait_for()
        found = serious(page)
        ask(page, "go")
        page.locator(ANSWERED).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        inside = "document.querySelector('.thread').scrollWidth <= document.querySelector('.thread').clientWidth"
        assert page.evaluate(inside)
        found += serious(page)
        page.locator(".topbar > .icon-button").last.click()
        page.locator("dialog").wait_for()
        assert page.evaluate("document.querySelector('.dialog-body').scrollWidth <= innerWidth")
        found += serious(page)
        assert found == []


def test_a_message_sent_before_the_server_told_its_models_waits_for_them(visit: Visit) -> None:
    with saying(Script()) as url:
        visitor = visit(**DESK)
        page = visitor.page()
        held: list[Route] = []
        page.route("**/v1/models", lambda route: held.append(route))
        page.goto(url)
        page.locator("#write").press_sequentially("hi")
        page.keyboard.press("Enter")
        page.locator(".writer.main .space").get_by_text("loading").wait_for()
        assert held
        assert page.locator(".message").count() == 0
        page.unroute("**/v1/models")  # which lets those that are held go on
        page.locator(ANSWERED).wait_for()
        assert page.input_value("#write") == ""


def test_it_is_done_with_the_keyboard_alone(visit: Visit) -> None:
    with saying(Script()) as url:
        page = visit(**DESK).page(url)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        page.keyboard.type("hi")
        page.keyboard.press("Enter")
        page.locator(ANSWERED).wait_for()
        page.locator(".head .menu > button").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowDown")
        assert page.evaluate("document.activeElement.textContent") == "Save as Markdown"
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.ariaLabel") == "More for “hi”"
