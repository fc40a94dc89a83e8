"""The same questions to the model as it was and as it is now, on the engine that serves it; greedy, in both languages.

Does not know: which answer is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from penjing.probe import machine, single
from penjing.progress import Progress, Report
from penjing.shrink.evaluate.questions import Message, read

MOST_TOKENS = 80
EACH = 2
"""Questions in each language."""
QUESTIONS = {
    "en": ("What is the capital of France? Answer in one sentence.", "Why does a smaller model answer faster?"),
    "zh": ("请用一句话介绍中国的首都。", "为什么小模型回答得更快？"),
}
"""For models that bring none along."""


@dataclass(frozen=True)
class Answered:
    """`language` is `en` or `zh`; `before` is None where the first model was not asked."""

    language: str
    question: str
    before: str | None
    after: str


class _Line(msgspec.Struct):
    messages: list[Message] = []
    lang: object = ""


def questions(own: Path) -> list[tuple[str, str]]:
    """(language, question): those that the model brings along in the file `own`, the first of as many parts as are
    asked; else built-in ones. Raises NotAYardstick."""
    found = {"en": list[str](), "zh": list[str]()}
    if own.is_file():
        read(own)  # what is told of a line that is none is told there
        lines = [msgspec.json.decode(line, type=_Line) for line in own.read_bytes().splitlines() if line.strip()]
        for line in lines:
            if len(line.messages) == 2 and isinstance(line.lang, str) and line.lang in found:
                found[line.lang].append(line.messages[0].content)
    chosen = {language: asked[:: max(1, len(asked) // EACH)][:EACH] for language, asked in found.items()}
    return [(language, each) for language, asked in chosen.items() for each in asked or QUESTIONS[language]]


def asked(before: Path, after: Path, wanted: Sequence[tuple[str, str]], report: Report) -> list[Answered]:
    """Both models' answers; `before` and `after` are GGUF files. A model that is larger than the free memory is not
    asked: it would be read from the disk for each token. Raises what the engine raises; `report` cancels by raising."""
    texts = [question for _, question in wanted]
    free = machine.read(gpus=False).memory_available
    if _bytes(after) > free:
        return []
    report(Progress(0.0, "answering"))
    first = _answers(before, texts) if _bytes(before) <= free else [None] * len(texts)
    report(Progress(0.5, "answering"))
    second = _answers(after, texts)
    report(Progress(1.0, "answering"))
    rows = zip(wanted, first, second, strict=True)
    return [Answered(language, question, old, new) for (language, question), old, new in rows]


def _bytes(model: Path) -> int:
    """Of all its files."""
    return sum(path.stat().st_size for path in single.read(model).files)


def _answers(model: Path, texts: Sequence[str]) -> list[str]:
    from penjing.shrink.evaluate.engine import Engine
    from penjing.shrink.evaluate.questions import Question
    from penjing.shrink.evaluate.tasks import prompt

    with Engine(model) as engine:
        prompts = [prompt(engine, Question(question=text)) for text in texts]
        return [answer.strip() for answer in engine.answers(prompts, MOST_TOKENS)]
