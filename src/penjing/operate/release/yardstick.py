"""The yardstick of a canary: which questions the versions of a model are asked, how an engine is asked them, and what
it said. What a question is, and what is right, stands in `shrink.evaluate.questions`.

Does not know: engines, what follows from right and wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import msgspec
from msgspec import Struct

from penjing.shrink.evaluate import questions
from penjing.shrink.evaluate.questions import MOST_TOKENS, Question
from penjing.store.resolve import GUIDE
from penjing.store.version import Version

NAME = "yardstick.jsonl"
"""Of a model's own, among its files."""


def read(path: Path) -> tuple[Question, ...]:
    """The questions in a file, each with an answer in words. Raises NotAYardstick."""
    return questions.read(path, likelihoods=False)


def of_version(version: Version, wanted: str) -> tuple[Question, ...]:
    """The questions for a canary: of the file `wanted`, else of the model itself (one that is called `guide` has the
    built-in model's), else what any model may be asked. Raises NotAYardstick."""
    if wanted:
        return read(Path(wanted))
    own = version.folder / NAME
    ours = Path(str(resources.files("penjing") / "data"))
    return read(own if own.is_file() else (ours / GUIDE if version.name == GUIDE else ours) / NAME)


def body(question: Question, model: str) -> bytes:
    """What an engine is asked in OpenAI's dialect; its answer to it is always the same."""
    return msgspec.json.encode(
        {
            "model": model,
            "messages": question.asked,
            "temperature": 0,
            "seed": 0,
            "max_tokens": MOST_TOKENS,
            "chat_template_kwargs": {"enable_thinking": False},
        }
    )


def said(answer: bytes) -> str:
    """The text of an engine's whole answer; "" where it has none."""
    try:
        found = msgspec.json.decode(answer, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return (found.choices[0].message.content or "") if found.choices else ""


class _Said(Struct):
    content: str | None = None


class _Choice(Struct):
    message: _Said


class _Answer(Struct):
    choices: Sequence[_Choice] = ()
