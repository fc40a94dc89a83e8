"""A yardstick: questions, and what an answer must hold to be right; the versions of a model are asked the same ones.

A file of JSON lines (at most 4 MiB), of which a program may write more than is read here:

    {"messages": [{"role": "user", "content": "..."}], "key": [["Paris"]]}
    {"question": "...", "key": [["four", "4"], ["apples"]], "not": ["five"]}

A last message of the assistant is not put: it shows what is meant. An answer is right where every group of `key` has at
least one of its words in it, in any case, and none of `not`. A number is not found within a longer one. Answers are
greedy and at most `MOST_TOKENS` long.

Does not know: engines, what follows from right and wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import msgspec
from msgspec import Struct

from penjing.errors import InputError
from penjing.store.resolve import GUIDE
from penjing.store.version import Version

NAME = "yardstick.jsonl"
"""Of a model's own, among its files."""
LARGEST = 4 << 20
MOST_TOKENS = 160


class NotAYardstick(InputError):
    """Facts: `path`, `line`, `detail`."""

    template = "{path}, line {line}: this is no question with a key: {detail}"
    hint = 'A line looks like this: {{"question": "What is the capital of France?", "key": [["Paris"]]}}'
    code = "invalid_yardstick"


class _Message(Struct, frozen=True):
    role: str
    content: str


class Question(Struct, frozen=True, omit_defaults=True):
    """As in the file: `messages`, or one `question` alone."""

    messages: tuple[_Message, ...] = ()
    question: str = ""
    key: tuple[tuple[str, ...], ...] = ()
    without: tuple[str, ...] = msgspec.field(default=(), name="not")

    def body(self, model: str) -> bytes:
        """What an engine is asked in OpenAI's dialect; its answer to it is always the same."""
        asked = self.messages or (_Message("user", self.question),)
        if asked[-1].role == "assistant":
            asked = asked[:-1]
        return msgspec.json.encode(
            {
                "model": model,
                "messages": asked,
                "temperature": 0,
                "seed": 0,
                "max_tokens": MOST_TOKENS,
                "chat_template_kwargs": {"enable_thinking": False},
            }
        )

    def right(self, answer: str) -> bool:
        """Whether `answer` holds what it must."""
        whole = all(any(holds(answer, each) for each in group) for group in self.key)
        return whole and not any(holds(answer, each) for each in self.without)


def holds(answer: str, words: str) -> bool:
    """Whether the words stand in the answer, with no digit beside a number.

    >>> holds("It is 13.5", "3.5"), holds("It is 3.5.", "3.5"), holds("PARIS, of course", "Paris")
    (False, True, True)
    """
    pattern = re.escape(words.lower())
    if words[:1].isdigit():
        pattern = r"(?<![\d.])" + pattern
    if words[-1:].isdigit():
        pattern += r"(?!\d|\.\d)"
    return re.search(pattern, answer.lower()) is not None


def read(path: Path) -> tuple[Question, ...]:
    """The questions in a file. Raises NotAYardstick."""
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise NotAYardstick(path=path, line=1, detail=error.strerror or str(error)) from error
    if len(content) > LARGEST:
        raise NotAYardstick(path=path, line=1, detail=f"the file has more than {LARGEST} bytes")
    found = tuple(_question(line, path, number) for number, line in enumerate(content.splitlines(), 1) if line.strip())
    if not found:
        raise NotAYardstick(path=path, line=1, detail="the file is empty")
    return found


def of_version(version: Version, wanted: str) -> tuple[Question, ...]:
    """The questions for a canary: of the file `wanted`, else of the model itself (one that is called `guide` has the
    built-in model's), else what any model may be asked. Raises NotAYardstick."""
    if wanted:
        return read(Path(wanted))
    own = version.folder / NAME
    ours = Path(str(resources.files("penjing") / "data"))
    return read(own if own.is_file() else (ours / GUIDE if version.name == GUIDE else ours) / NAME)


def _question(line: bytes, path: Path, number: int) -> Question:
    try:
        found = msgspec.json.decode(line, type=Question)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAYardstick(path=path, line=number, detail=str(error)) from error
    if not found.question and not any(each.role == "user" for each in found.messages):
        raise NotAYardstick(path=path, line=number, detail="it has neither messages nor a question")
    if not found.key or not all(group and all(group) for group in found.key):
        raise NotAYardstick(path=path, line=number, detail="it has no key, or an empty one")
    return found


def said(body: bytes) -> str:
    """The text of an engine's whole answer; "" where it has none."""
    try:
        found = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return (found.choices[0].message.content or "") if found.choices else ""


class _Said(Struct):
    content: str | None = None


class _Choice(Struct):
    message: _Said


class _Answer(Struct):
    choices: Sequence[_Choice] = ()
