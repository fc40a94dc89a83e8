"""Chatting through the server: what people expect of a chat page, done with a real browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.running import Process
from penjing.engines.fake import Script
from penjing.gateway.options import GatewayOptions
from web.conftest import ANSWERED, DESK, Visit, ask, item, saying, setting

pytestmark = pytest.mark.extras

LONG = Script(tokens=tuple(f"word{index} " for index in range(2000)), delay=0.01)
RICH = (
    "# Title\n\nSome `code`, <img src=x onerror=\"document.title='caught'\"> and <script>1</script>.\n\n"
    "[bad](javascript:document.title='caught') ![far](https://example.com/a.png)\n\n"
    "```python\ndef double(number):\n    return number * 2  # twice\n```\n\n| a | b |\n|--|--:|\n| 1 | 2 |\n"
)


def test_a_conversation_with_all_that_can_be_done_to_it(guide: Process, visit: Visit, tmp_path: Path) -> None:
    page = visit(**DESK, accept_downloads=True).page(guide.url)
    assert "keys and values" in ask(page, "What is a KV cache?")
    assert page.locator(".speed").first.inner_text().endswith("tok/s")
    assert page.locator(".meter").is_visible()

    page.locator(".assistant .tools button[aria-label='Answer again']").click()
    page.locator(".versions").get_by_text("2/2").wait_for()
    page.locator(".versions button[aria-label='Previous version']").click()
    page.locator(".versions").get_by_text("1/2").wait_for()

    page.locator(".user .tools button[aria-label='Edit']").click()
    page.locator(".editing textarea").fill("What is quantization?")
    page.locator(".editing .primary").click()
    page.locator(".user .versions").get_by_text("2/2").wait_for()
    page.locator(ANSWERED).wait_for()
    assert "fewer bits" in page.locator(".markdown").inner_text()

    page.reload()
    page.locator(".head-title").click()
    page.locator(ANSWERED).wait_for()
    assert "fewer bits" in page.locator(".markdown").inner_text()

    item(page, "Rename")
    page.locator(".naming").fill("Small numbers")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="New chat", exact=True).click()
    ask(page, "What is LoRA?")
    page.get_by_role("searchbox").fill("fewer bits")
    page.locator(".heads").get_by_text("What is LoRA?").wait_for(state="detached")
    assert page.locator(".head-title").all_inner_texts() == ["Small numbers"]

    with page.expect_download() as saved:
        item(page, "Save as JSON")
    kept = tmp_path / "chat.json"
    saved.value.save_as(kept)
    (conversation,) = json.loads(kept.read_text())["conversations"]
    assert [message["role"] for message in conversation["messages"]].count("user") == 2
    with page.expect_download() as saved:
        item(page, "Save as Markdown")
    assert saved.value.suggested_filename == "Small numbers.md"

    item(page, "Delete")
    page.get_by_text("Nothing found.").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.locator(".head-title").get_by_text("Small numbers").wait_for()
    page.get_by_role("button", name="Settings").click()
    page.locator("input[accept*=json]").set_input_files(kept)
    page.get_by_text("Chats read: 1.").wait_for()
    page.locator(".head-title").nth(1).wait_for()
    assert page.locator(".head-title").all_inner_texts() == ["Small numbers", "Small numbers"]


def test_it_thinks_apart_from_what_it_says(guide: Process, visit: Visit) -> None:
    page = visit().page(guide.url)
    page.get_by_role("button", name="Think first").click()
    said = ask(page, "What is a KV cache?")
    page.get_by_text("Thought", exact=True).click()
    thought = page.locator(".thought-text").inner_text()
    assert thought
    assert "<think>" not in said


def test_an_answer_is_stopped_and_what_came_is_kept(visit: Visit) -> None:
    with saying(LONG) as url:
        page = visit().page(url)
        page.fill("#write", "go")
        page.keyboard.press("Enter")
        page.get_by_text("word20 ").wait_for()
        page.get_by_role("button", name="Stop").click()
        page.get_by_text("Stopped.").wait_for()
        said = page.locator(".markdown").inner_text()
        assert 20 < len(said.split()) < 2000
        page.reload()
        page.locator(".head-title").click()
        page.get_by_text("Stopped.").wait_for()
        assert page.locator(".markdown").inner_text() == said


def test_what_a_model_writes_can_do_nothing(visit: Visit) -> None:
    with saying(Script(tokens=tuple(RICH[at : at + 7] for at in range(0, len(RICH), 7)))) as url:
        visitor = visit(**DESK)
        page = visitor.page(url)
        ask(page, "go")
        page.locator("code.hljs .hljs-keyword").first.wait_for()
        assert page.title() == "penjing"
        assert page.locator(".markdown img, .markdown script").count() == 0
        assert page.locator(".markdown a[href^='javascript']").count() == 0
        assert page.locator("td[align=right]").inner_text() == "2"
        page.locator("[data-copy]").click()
        page.locator("[data-copy=done]").wait_for()


def test_a_server_with_keys_asks_for_one(visit: Visit) -> None:
    with saying(Script(), GatewayOptions(api_keys=("secret",))) as url:
        page = visit().page(url)
        page.locator("dialog input[type=password]").fill("wrong")
        page.get_by_role("button", name="Save").click()
        page.locator("dialog input[type=password]").fill("secret")
        page.get_by_role("button", name="Save").click()
        page.locator("dialog").wait_for(state="detached")
        assert ask(page, "hi") == "Hello, world!"
        page.goto("about:blank")
        page.goto(f"{url}/#key=other")
        page.locator("dialog").wait_for()
        assert page.url == f"{url}/"


def test_sampling_and_instructions_reach_the_server(visit: Visit) -> None:
    with saying(Script()) as url:
        page = visit().page(url)
        setting(page, sampling={"temperature": 0, "seed": 7})
        page.reload()
        page.get_by_role("button", name="Settings").click()
        page.get_by_label("For this chat").fill("Be brief.")
        page.locator("dialog").get_by_role("button", name="Close").click()
        with page.expect_request("**/v1/chat/completions") as asked:
            ask(page, "hi")
        body = asked.value.post_data_json
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (body["temperature"], body["seed"]) == (0, 7)
