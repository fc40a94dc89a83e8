"""What stays on the device: models from files, pictures, presets, chats as files; and how it may go."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.running import Process, finish, launch
from penjing.engines.fake import Script
from penjing.store.resolve import guide as guide_path
from tiny_projector import write as write_projector
from web.conftest import ANSWERED, DESK, Visit, ask, item, option, saying, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.extras

SIZES = """async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("models", {create: true});
    const handles = await Array.fromAsync(folder.values());
    const sizes = await Promise.all(handles.map(handle => handle.getFile().then(file => file.size)));
    return sizes.filter(Boolean);  // a download that never began leaves an empty file
}"""
TITLES = "[...document.querySelectorAll('.head-title')].map(title => title.innerText)"
DROP = """async ([name, type, bytes, place]) => {
    const held = new DataTransfer();
    held.items.add(new File([new Uint8Array(bytes)], name, {type}));
    document.querySelector(place).dispatchEvent(
        new DragEvent("drop", {dataTransfer: held, bubbles: true, cancelable: true}));
}"""


def png(side: int) -> bytes:
    """A red square."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = (b"\0" + b"\xff\0\0" * side) * side
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def open_settings(page: Page) -> None:
    page.locator(".topbar > .icon-button").last.click()
    page.locator("dialog").wait_for()


def close_settings(page: Page) -> None:
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")


def test_a_gguf_from_a_file_answers_here(visit: Visit, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"GGML is something else")
    mine = tmp_path / "mine.gguf"
    mine.symlink_to(guide_path())
    with saying(Script()) as url:
        visitor = visit(keeps=True, **DESK)
        page = visitor.page()
        assert visitor.context is not None
        visitor.context.route("**/models/*.gguf", lambda route: route.abort())  # only what comes from a file
        page.goto(url)
        open_settings(page)
        chooser = page.locator("dialog input[accept='.gguf']")
        chooser.set_input_files(wrong)
        page.get_by_text("This is not a GGUF file.").wait_for()
        assert page.evaluate(SIZES) == []
        chooser.set_input_files(mine)
        page.get_by_text("mine is on this device now.").wait_for()
        assert page.evaluate(SIZES) == [guide_path().stat().st_size]
        close_settings(page)
        assert "keys and values" in ask(page, "What is a KV cache?")
        assert page.locator(".assistant").get_attribute("aria-label") == "mine"
        kept = page.evaluate("JSON.parse(localStorage.getItem('penjing.models'))")
        assert [(model["context"], model["thinks"]) for model in kept] == [(1024, True)]
        page.reload()
        page.get_by_role("button", name="Think first").wait_for()
        assert "fewer bits" in ask(page, "What is quantization?")
        open_settings(page)
        page.get_by_role("button", name="Remove mine from this device").click()
        until(page, SIZES, lambda sizes: sizes == [], "the file is gone")
        close_settings(page)
        assert ask(page, "hi") == "Hello, world!"


def test_what_the_browser_took_back_is_told(visit: Visit) -> None:
    with saying(Script()) as url:
        page = visit(**DESK).page(url)
        page.locator("#write").wait_for()
        offer = {"id": "0" * 64, "name": "small", "bytes": 7, "context": 0, "thinks": False, "url": ""}
        page.evaluate("offer => localStorage.setItem('penjing.models', JSON.stringify([offer]))", offer)
        page.reload()
        page.get_by_text("The browser made room and removed small from this device.").wait_for()
        assert page.evaluate("localStorage.getItem('penjing.models')") == "[]"


def test_the_browser_is_asked_to_keep_everything(visit: Visit) -> None:
    with saying(Script()) as url:
        visitor = visit(**DESK)
        page = visitor.page(url)
        open_settings(page)
        page.get_by_text("The browser may remove it when the device runs short of room.").wait_for()
        page.get_by_role("button", name="Ask it to keep everything").click()
        page.get_by_text("The browser did not promise it.").wait_for()
        assert visitor.context is not None
        allowed = {"permissions": ["durableStorage"], "origin": url}
        visitor.context.new_cdp_session(page).send("Browser.grantPermissions", allowed)
        page.get_by_role("button", name="Ask it to keep everything").click()
        page.get_by_text("The browser keeps it until you remove it.").wait_for()
        assert page.evaluate("navigator.storage.persisted()")


def content(request: Any) -> Any:
    return request.post_data_json["messages"][0]["content"]


def test_pictures_go_with_the_question(visit: Visit, tmp_path: Path) -> None:
    """The engine is a fake that says that it sees: what is tested is the page and what reaches the server."""
    red, broken = tmp_path / "red.png", tmp_path / "broken.png"
    red.write_bytes(png(2000))
    broken.write_bytes(b"\x89PNG nothing")
    with saying(Script(vision=True), blind=Script()) as url:
        page = visit(**DESK).page(url)
        option(page, "fake")
        chooser = page.locator(".writer input[type=file]")
        chooser.set_input_files(broken)
        page.get_by_text("This picture cannot be read.").wait_for()
        chooser.set_input_files([red, red])
        page.locator(".writer .picture").nth(1).wait_for()
        page.get_by_role("button", name="Remove the picture").first.click()
        page.evaluate(DROP, ["small.png", "image/png", list(png(8)), ".writer.main"])
        page.locator(".writer .picture").nth(1).wait_for()
        with page.expect_request("**/v1/chat/completions") as asked:
            ask(page, "What is this?")
        first, second, words = content(asked.value)
        assert words == {"type": "text", "text": "What is this?"}
        assert first["image_url"]["url"].startswith("data:image/jpeg;base64,")
        assert second["type"] == "image_url"
        sides = "[...document.querySelectorAll('.message .picture img')].map(image => image.naturalWidth)"
        assert page.evaluate(sides) == [1344, 8]

        page.reload()
        page.locator(".head-title").click()
        page.locator(".message .picture img").nth(1).wait_for()
        page.locator(".user .tools button[aria-label='Edit']").click()
        page.locator(".editing textarea").fill("And now?")
        with page.expect_request("**/v1/chat/completions") as asked:
            page.locator(".editing .primary").click()
        assert [each["type"] for each in content(asked.value)] == ["image_url", "image_url", "text"]
        page.locator(ANSWERED).wait_for()

        option(page, "blind")
        assert page.locator(".writer input[type=file]").count() == 0
        with page.expect_request("**/v1/chat/completions") as asked:
            ask(page, "More?")
        assert content(asked.value) == "And now?"
        page.get_by_text("blind sees no pictures: it reads the words alone.").wait_for()


def test_a_model_with_a_projector_sees(visit: Visit, tmp_path: Path) -> None:
    """A real server, whose model has eyes of random weights: the page offers pictures, and it answers."""
    red = tmp_path / "red.png"
    red.write_bytes(png(64))
    server = launch("--parallel", "1", "--mmproj", str(write_projector(tmp_path / "mmproj.gguf", 256)))
    try:
        page = visit(**DESK).page(server.url)
        page.get_by_role("button", name="Add a picture").wait_for()
        page.locator(".writer input[type=file]").set_input_files(red)
        page.locator(".writer .picture").wait_for()
        assert ask(page, "What is this?")
        assert page.locator(".message .picture img").count() == 1
    finally:
        finish(server)


def test_presets_are_kept_and_begin_chats(visit: Visit) -> None:
    with saying(Script()) as url:
        page = visit(**DESK).page(url)
        open_settings(page)
        page.get_by_label("For this chat").fill("Answer as a gardener.")
        page.get_by_label("Name of the preset").fill("Gardener")
        page.get_by_role("button", name="Keep as a preset").click()
        page.get_by_label("Begin every chat with it").check()
        close_settings(page)
        page.reload()
        with page.expect_request("**/v1/chat/completions") as asked:
            ask(page, "hi")
        assert asked.value.post_data_json["messages"][0] == {"role": "system", "content": "Answer as a gardener."}

        page.keyboard.press("Control+Shift+O")
        open_settings(page)
        preset = page.locator("dialog label", has_text="Preset").locator("select")
        preset.select_option("")
        assert page.get_by_label("For this chat").input_value() == ""
        preset.select_option(label="Gardener")
        page.get_by_role("button", name="Delete the preset").click()
        preset.wait_for(state="detached")
        page.get_by_label("For this chat").fill("")
        close_settings(page)
        page.keyboard.press("Control+Shift+O")
        with page.expect_request("**/v1/chat/completions") as asked:
            ask(page, "hi")
        assert [each["role"] for each in asked.value.post_data_json["messages"]] == ["user"]


def test_chats_go_to_another_device_and_back(visit: Visit, tmp_path: Path) -> None:
    kept = tmp_path / "all.json"
    with saying(Script()) as url:
        page = visit(**DESK, accept_downloads=True).page(url)
        ask(page, "First question")
        page.locator(".user .tools button[aria-label='Edit']").click()
        page.locator(".editing textarea").fill("Better question")
        page.locator(".editing .primary").click()
        page.locator(".user .versions").get_by_text("2/2").wait_for()
        page.locator(ANSWERED).wait_for()
        page.keyboard.press("Control+Shift+O")
        ask(page, "盆景怎么浇水？")
        with page.expect_download() as saved:
            item(page, "Save as Markdown")
        written = Path(str(saved.value.path())).read_text(encoding="utf-8")
        assert written == "# 盆景怎么浇水？\n\n## You\n\n盆景怎么浇水？\n\n## fake\n\nHello, world!\n"
        open_settings(page)
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save all as a file").click()
        saved.value.save_as(kept)

        other = visit(**DESK).page(url)
        open_settings(other)
        chooser = other.locator("input[accept*=json]")
        for wrong in ("{", '{"format": "other"}', '{"format": "penjing-conversations", "conversations": [{}]}'):
            (tmp_path / "wrong.json").write_text(wrong)
            chooser.set_input_files(tmp_path / "wrong.json")
            other.get_by_text("This is not a file of chats that penjing wrote.").first.wait_for()
            other.locator(".note button[aria-label=Close]").first.click()
        close_settings(other)
        other.evaluate(DROP, ["all.json", "application/json", list(kept.read_bytes()), "main"])
        other.get_by_text("Chats read: 2.").wait_for()
        assert sorted(other.locator(".head-title").all_inner_texts()) == ["First question", "盆景怎么浇水？"]
        other.locator(".head-title").get_by_text("First question").click()
        other.locator(".bubble").get_by_text("Better question").wait_for()
        other.locator(".user .versions button[aria-label='Previous version']").click()
        other.locator(".bubble").get_by_text("First question").wait_for()


def test_a_file_that_goes_in_circles_does_no_harm(visit: Visit, tmp_path: Path) -> None:
    messages = [
        {"id": name, "parent": parent, "role": role, "text": f"said by {name}", "at": 1}
        for name, parent, role in (("a", "b", "user"), ("b", "a", "assistant"))
    ]
    messages[0]["images"] = ["https://example.com/who-reads.png"]
    page_of = {"format": "penjing-conversations", "version": 1}
    chat = {"title": "Round", "system": "", "leaf": "b", "messages": messages}
    (tmp_path / "round.json").write_text(json.dumps({**page_of, "conversations": [chat]}))
    with saying(Script()) as url:
        page = visit(**DESK).page(url)
        open_settings(page)
        page.locator("input[accept*=json]").set_input_files(tmp_path / "round.json")
        page.get_by_text("Chats read: 1.").wait_for()
        close_settings(page)
        page.locator(".head-title").click()
        page.get_by_text("said by b").wait_for()
        assert page.locator(".message img").count() == 0


def test_search_finds_words_in_any_order_and_language(visit: Visit) -> None:
    with saying(Script()) as url:
        page = visit(**DESK).page(url)
        for question in ("Pruning a Juniper in spring", "盆景怎么浇水？", "Repotting"):
            page.keyboard.press("Control+Shift+O")
            ask(page, question)
        page.keyboard.press("Control+k")
        page.wait_for_function("document.activeElement.type === 'search'")
        for sought, expected in (("SPRING juniper", "Pruning a Juniper in spring"), ("浇水", "盆景怎么浇水？")):
            page.keyboard.press("Control+a")
            page.keyboard.type(sought)
            until(page, TITLES, lambda titles, only=expected: titles == [only], f"{sought} leaves one")
        page.keyboard.press("Control+a")
        page.keyboard.type("nobody said this")
        page.get_by_text("Nothing found.").wait_for()
        page.keyboard.press("Control+a")
        page.keyboard.press("Delete")
        until(page, TITLES, lambda titles: len(titles) == 3, "all are back")


def test_the_context_meter_tells_what_is_used(guide: Process, visit: Visit) -> None:
    page = visit(**DESK).page(guide.url)
    ask(page, "What is a KV cache?")
    label = page.locator(".meter svg").get_attribute("aria-label")
    assert label is not None
    used, whole = (int(part.replace(",", "")) for part in label.split() if part[0].isdigit())
    assert 0 < used < whole
    page.locator(".speed").first.hover()
    assert "tokens" in (page.locator(".speed").first.get_attribute("title") or "")
