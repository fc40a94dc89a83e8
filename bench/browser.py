"""The model in the browser beside the native engine, on the same GGUF in one run; and what the page costs to open.

    python bench/browser.py [--model GGUF] [--rounds 5] [--write]

Needs Chromium and the package `playwright`. Both sides answer the same questions at temperature 0, alternating, each
with the threads it takes by itself, which are printed. Reported: tokens a second while writing as llama.cpp counts them
on both sides (median over rounds, and the ratio with its spread); on the local server the time to the page's first
paint in a new browser, and the share of frames on time (under 1/50 s) while a long answer of Markdown streams at 100
pieces a second; the sizes of the shell, the engine and the model. `--write` puts the table into docs/en/page.md and
docs/zh/page.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import page
from penjing.engines.engine import Engine
from penjing.engines.fake import Fake, Script
from penjing.engines.llamacpp import LlamaCpp
from penjing.export.offer import offer
from penjing.export.page import built
from penjing.files import human
from penjing.gateway.app import Gateway
from penjing.gateway.options import GatewayOptions
from penjing.gateway.serve import Said, bind, serve
from penjing.store.resolve import guide

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

QUESTIONS = ("What is a KV cache?", "How do I quantize a model?", "什么是 LoRA？", "Which model fits in 8 GB?")
ANSWERED = ".message.assistant[aria-busy=false]"
PIECE = "A sentence with `code` and **weight**, as answers have them, so that blocks must be made.\n\n"
LONG = Script(tokens=tuple(word + " " for word in (PIECE * 60).split(" ")), delay=0.01)
ON_TIME = 1000 / 50
WORDS = {
    "tokens a second, native": "每秒 token 数，本机引擎",
    "tokens a second, in Chromium": "每秒 token 数，Chromium 中",
    "ratio, with its spread over the rounds": "比值及各轮的范围",
    "first paint in a new browser": "新浏览器中的首次绘制",
    "frames on time while a long answer streams": "长回答输出时准时的帧",
    "shell, gzipped": "页面外壳（gzip）",
    "engine, gzipped": "引擎（gzip）",
    "model": "模型",
    "machine": "机器",
}
FRAMES = """seconds => new Promise(resolve => {
    const gaps = [];
    let last = performance.now();
    const end = last + seconds * 1000;
    const frame = now => {
        gaps.push(now - last);
        last = now;
        now < end ? requestAnimationFrame(frame) : resolve(gaps);
    };
    requestAnimationFrame(frame);
})"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    model = given.model or guide()
    with tempfile.TemporaryDirectory() as home:
        os.environ["PENJING_HOME"] = home
        found = measured(model, given.rounds, Path(home))
    print(table(found, "en"))
    if given.write:
        page.write("bench/browser.py", {language: table(found, language) for language in ("en", "zh")}, "page")


def table(found: dict[str, str], language: str) -> str:
    """In Markdown."""
    head = {"en": "| figure | measured |", "zh": "| 指标 | 测得 |"}[language]
    names = {name: name if language == "en" else WORDS[name] for name in found}
    return "\n".join((head, "|---|---|", *(f"| {names[name]} | {value} |" for name, value in found.items())))


def measured(model: Path, rounds: int, home: Path) -> dict[str, str]:
    """The figures, by their names in English."""
    from playwright.sync_api import sync_playwright

    offers = () if model == guide() else (offer(model, model.stem),)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch_persistent_context(
            str(home / "profile"), executable_path=shutil.which("chromium"), args=["--no-sandbox"], locale="en-US"
        )
        with running({model.stem: LlamaCpp(model, model.stem)}, GatewayOptions(offers=offers)) as url:
            tab = chromium.new_page()
            tab.goto(url)
            tab.locator("#write:not([disabled])").wait_for()
            paint = float(tab.evaluate(PAINT))
            natively, within = speeds(tab, url, model.stem, rounds)
        on_time = smooth(chromium)
        chromium.close()
    ratios = [here / there for here, there in zip(within, natively, strict=True)]
    wasm = next(asset for asset in built().assets if asset.name.startswith("wasm/llama"))
    there = page.machine()
    return {
        "tokens a second, native": f"{statistics.median(natively):.0f}",
        "tokens a second, in Chromium": f"{statistics.median(within):.0f}",
        "ratio, with its spread over the rounds": (
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} … {max(ratios):.2f}, {rounds} rounds)"
        ),
        "first paint in a new browser": f"{paint:.0f} ms",
        "frames on time while a long answer streams": f"{on_time:.1%}",
        "shell, gzipped": human(built().shell_bytes),
        "engine, gzipped": human(len(wasm.gzipped())),
        "model": f"{model.stem}, {human(model.stat().st_size)}",
        "machine": f"{there['cpu']}, {there['cores']} cores, {there['memory']}, load {os.getloadavg()[0]:.1f}",
    }


def speeds(tab: Page, url: str, model: str, rounds: int) -> tuple[list[float], list[float]]:
    """Tokens a second natively and in the browser, a pair for each round; the sides take turns."""
    kept = "JSON.parse(localStorage.getItem('penjing.models') ?? '[]').map(model => `browser:${model.id}`)"
    while not tab.evaluate(kept):
        tab.wait_for_timeout(200)
    (key, *_) = tab.evaluate(kept)
    tab.evaluate(
        "model => localStorage.setItem('penjing.settings', JSON.stringify({model, sampling: {temperature: 0}}))", key
    )
    tab.reload()
    asked(tab, QUESTIONS[0])  # loads the model
    natively, within = [], []
    for _ in range(rounds):
        natively.append(statistics.median(answered(url, model, question) for question in QUESTIONS))
        within.append(statistics.median(asked(tab, question) for question in QUESTIONS))
    return natively, within


def answered(url: str, model: str, question: str) -> float:
    """Tokens a second of the native engine, as it counts them."""
    body = {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=600) as answer:
        return float(json.load(answer)["timings"]["predicted_per_second"])


def asked(tab: Page, question: str) -> float:
    """Tokens a second in the browser, as the page shows them."""
    tab.keyboard.press("Control+Shift+O")
    tab.fill("#write", question)
    tab.click(".writer.main .primary")
    tab.locator(ANSWERED).wait_for(timeout=600_000)
    return float(tab.locator(".speed").inner_text().split()[0].replace(",", ""))


def smooth(chromium: BrowserContext) -> float:
    """The share of frames that came on time while a long answer streamed."""
    with running({"fake": Fake(LONG)}) as url:
        tab = chromium.new_page()
        tab.goto(url)
        tab.locator("#write").wait_for()
        tab.fill("#write", "go")
        tab.click(".writer.main .primary")
        tab.locator(".markdown").wait_for()
        gaps: list[float] = tab.evaluate(FRAMES, 5)
        tab.close()
    return sum(gap <= ON_TIME for gap in gaps) / len(gaps)


@contextmanager
def running(engines: dict[str, Any], options: GatewayOptions | None = None) -> Iterator[str]:
    """The URL of a gateway in a thread of its own."""
    known: dict[str, Engine] = engines
    said: list[Said] = []
    ready = threading.Event()

    def hear(what: Said) -> None:
        said.append(what)
        if what.event == "ready":
            ready.set()

    loop = asyncio.new_event_loop()
    task = loop.create_task(serve(Gateway(known, options), bind("127.0.0.1", 0), announce=hear, drain_seconds=1))
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([task])))
    thread.start()
    ready.wait(120)
    try:
        yield said[0].url
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(30)
        loop.close()


if __name__ == "__main__":
    main()
