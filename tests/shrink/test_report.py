"""The page of a result: one file, both languages, nothing from elsewhere."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from penjing.cli.shrink.order import outlook
from penjing.files import human
from penjing.language import catalogue
from penjing.manifest import Manifest
from penjing.plan.report.frame import About
from penjing.probe import machine
from penjing.probe import model as probe
from penjing.shrink import recipe
from penjing.shrink.evaluate.questions import NotAYardstick
from penjing.shrink.planning import foresee
from penjing.shrink.report import answers, bitmap, landscape, sensitivity
from penjing.shrink.report.answers import Answered
from penjing.shrink.report.findings import findings
from penjing.shrink.report.landscape import Point
from penjing.shrink.report.page import HEADS, page
from penjing.shrink.run import Order, Result, Taken
from penjing.shrink.steps.kind import Pace
from penjing.shrink.steps.table import kinds
from penjing.store.resolve import guide
from tiny_model import Shape, write_tiny_gguf

PACE = Pace({"copy": 1e6, "train": 1e9, "read": 1e9, "encode": 1e6})
FOLDER = guide().parent
FACTS = {"architecture": "llama", "parameters": 5_770_496, "context": 1024, "bits_per_weight": 8.5, "bytes": 6_299_488}
QUALITY: dict[str, Any] = {
    "text": {
        "tokens": 2136,
        "perplexity": {"value": 1.088},
        "against": {
            "kl": {"value": 0.002, "low": 0.001, "high": 0.004},
            "same": {"value": 0.99},
            "parent_perplexity": 1.086,
        },
    },
    "tasks": [{"name": "yardstick", "accuracy": {"value": 0.9}, "parent_accuracy": 0.91}],
}
LOSSES = {
    "blk.0.attn_q.weight": 0.01,
    "blk.0.ffn_up.weight": 0.02,
    "blk.1.attn_q.weight": 0.0,
    "token_embd.weight": 0.3,
}


def result(quality: dict[str, Any], licence: str = "", points: Sequence[dict[str, Any]] = ()) -> Result:
    """As a run leaves it: the built-in model's own Q8_0 stands for what was made."""
    known = kinds()
    steps = tuple(recipe.made(known[name]) for name in ("quantize", "evaluate"))
    plan = foresee(recipe.Recipe(steps), outlook(probe.read(FOLDER)), known, PACE)
    order = Order(FOLDER, recipe.Recipe(steps), plan, "small", Path("out"), Path("work"), licence)
    found = ({"label": "Q8_0", "sensitivity": LOSSES, "points": list(points)}, quality)
    taken = [
        Taken(step, known[step.kind], guide(), each, 1.0, {}, False) for step, each in zip(steps, found, strict=True)
    ]
    written = {"text": recipe.text(order.recipe), "steps": []}
    manifest = Manifest(
        name="small", version="1", licence=licence, facts=FACTS, parent="abc", recipe=written, quality=quality
    )
    return Result(order, guide(), tuple(taken), manifest)


def made(found: Result, language: str = "en") -> str:
    told = [Answered("en", "What <is> it?", "This.", "That."), Answered("zh", "这是什么？", "这", "这")]
    return page(About("small", "guide", "penjing shrink guide", "2026-11-21", "0.1.0"), found, told, language)


class Read(HTMLParser):
    """Everything that a browser would fetch, and that nothing stays open."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("quality", [QUALITY, {}], ids=["measured", "not measured"])
def test_the_page(language: str, quality: dict[str, Any]) -> None:
    text = made(result(quality), language)
    read = Read()
    read.feed(text)
    assert read.fetched == []
    assert read.open == []
    assert f'data-language="{language}"' in text
    assert "What &lt;is&gt; it?" in text
    assert ("Quality and size" in text) is bool(quality)
    assert "What each layer is worth" in text


def test_what_a_peer_is_and_what_a_licence_says() -> None:
    text = made(result(QUALITY, "cc-by-nd-4.0", [{"label": "Q4_K_M", "bytes": 3_800_000, "kl": 0.0123}]))
    assert "forbids to pass changed copies on" in text
    assert re.search(r'class="dot"><title>Q4_K_M: 3.8 MB, 0.0123 nats', text)
    assert text.count('class="dot published"') == 0
    assert made(result(QUALITY)).count('class="dot published"') == 6


def test_what_was_done_is_told_in_sentences_with_the_size_that_came_of_it() -> None:
    found = result(QUALITY)
    text = made(found)
    assert text.count(f"<td>{human(guide().stat().st_size)}</td>") == len(found.taken)
    told = "Divergence from the original on the calibration text: 0.01391 nats a token (96 files tried)."
    trained = {"ended": "steps", "steps": 24, "chosen": 0, "loss": 0.1, "before": 0.13687, "after": 0.13687}
    for kept, wanted in (
        (
            {"parameters": {"before": 5770496, "after": 4590848}, "notes": []},
            ["5,770,496 weights before, 4,590,848 now"],
        ),
        (
            {"label": "IQ4_XS", "kl_expected": 0.1, "kl_calibration": 0.013911, "files_tried": 96},
            ["mostly IQ4_XS", told],
        ),
        (
            trained,
            [
                "24 steps, held-out loss 0.1369 -> 0.1369 (step 0)",
                "No step made the loss on what is held out better: the result is the model as it was.",
            ],
        ),
        ({**trained, "before": None}, ["24 steps, loss 0.1000"]),
        ({"odd": 0.123456, "of": {}}, ["odd: 0.1235"]),
    ):
        assert [each.words("en") for each in findings(kept)] == wanted
        assert all(each.template in catalogue("zh") for each in findings(kept))


def test_every_tensor_has_a_cell() -> None:
    tensors = [tensor for tensor in probe.read(guide()).tensors if len(tensor.shape) > 1]
    drawn = bitmap.draw(tensors)
    assert drawn.count("8.5 bits a weight") == len(tensors)
    assert bitmap.draw([]) == ""
    many = [bitmap.Tensor(f"blk.{layer}.attn_q.weight", (256, 256), "Q4_K", 0, 0) for layer in range(120)]
    assert bitmap.draw(many).count("<rect") == 120 + len(bitmap.LEGEND)


def test_layers_are_stacked() -> None:
    drawn = sensitivity.draw(LOSSES)
    assert re.findall(r"layer (\d|·), ([\w-]+): (\S+) nats", drawn) == [
        ("0", "attention", "0.01"),
        ("0", "feed-forward", "0.02"),
        ("·", "others", "0.3"),
    ]
    assert sensitivity.draw({}) == ""
    assert sensitivity.draw({"blk.0.attn_q.weight": 0.0}) == ""


def test_a_loss_of_nothing_and_one_of_everything_are_drawn() -> None:
    points = [Point("same", 1000, 0.0, "result"), Point("noise", 10, 12.0, "measured")]
    assert landscape.draw(points).count("<circle") == 2


def test_questions_are_the_models_own(tmp_path: Path) -> None:
    own = answers.questions(FOLDER / "yardstick.jsonl")
    assert [language for language, _ in own] == ["en", "en", "zh", "zh"]
    assert answers.questions(tmp_path / "none") == [
        (language, question) for language, asked in answers.QUESTIONS.items() for question in asked
    ]


def test_questions_that_are_none_are_told_with_their_line(tmp_path: Path) -> None:
    own = tmp_path / "yardstick.jsonl"
    own.write_text('{"question": "1 + 1?", "answer": "2", "lang": 3}\nno JSON\n', encoding="utf-8")
    with pytest.raises(NotAYardstick, match="line 2: "):
        answers.questions(own)
    own.write_text('{"question": "1 + 1?", "answer": "2", "lang": 3}\n', encoding="utf-8")
    assert answers.questions(own) == answers.questions(tmp_path / "none")


def test_a_model_larger_than_the_free_memory_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It would be read from the disk for each token; the smaller one is asked all the same, where it fits."""
    large, small = write_tiny_gguf(tmp_path / "large.gguf"), write_tiny_gguf(tmp_path / "small.gguf", Shape(layers=1))
    here = machine.read(gpus=False)
    asked = []
    for free in (large.stat().st_size, large.stat().st_size - 1, small.stat().st_size - 1):
        now = dataclasses.replace(here, memory_available=free)
        monkeypatch.setattr(answers.machine, "read", lambda gpus, now=now: now)
        asked.append(answers.asked(large, small, [("en", "Hi?")], lambda progress: None))
    both, one, none = asked
    assert [each.after for each in both] == [each.after for each in one]
    assert [each.before is None for each in (*both, *one)] == [False, True]
    assert none == []
    about = About("small", "guide", "penjing shrink guide", "2026-11-21", "0.1.0")
    assert "not asked: it is larger than the free memory" in page(about, result(QUALITY), one)
    assert "not asked" not in page(about, result(QUALITY), both)


def test_tables_are_translated() -> None:
    said = {*HEADS, *sensitivity.CLASSES, *(kind.about for kind in kinds().values())}
    assert said <= catalogue("zh").keys()
