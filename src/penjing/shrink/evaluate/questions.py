"""Questions, and what makes an answer right: one reading and one judge for all who ask models the same questions.

A file of JSON lines (at most 64 MiB), of which a program may write more than is read here:

    {"messages": [{"role": "user", "content": "..."}], "key": [["Paris"]]}
    {"question": "...", "key": [["four", "4"], ["apples"]], "not": ["five"]}
    {"question": "...", "answer": "Paris"}                       the answer holds it
    {"question": "...", "answer": ["no", "never"], "match": "exact"}   the answer is one of them, and nothing else
    {"question": "...", "choices": ["red", "blue"], "answer": 1}       the likeliest of them (a number from 0, a letter,
                                                                       or the choice itself)

A last message of the assistant is not put: it shows what is meant. An answer is right where every group of `key` has at
least one of its words in it, in any case, and none of `not`. A number is not found within a longer one. Answers are
greedy and at most `MOST_TOKENS` long.

Does not know: engines, what follows from right and wrong.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from penjing.errors import InputError

LARGEST = 1 << 26
MOST_TOKENS = 160
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
THOUGHT = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)


class NotAYardstick(InputError):
    """Facts: `path`, `line`, `detail`."""

    template = "{path}, line {line}: this is no question with a key: {detail}"
    hint = 'A line looks like this: {{"question": "What is the capital of France?", "key": [["Paris"]]}}'
    code = "invalid_yardstick"


class Message(Struct, frozen=True):
    """One turn before the answer."""

    role: str
    content: str


class Question(Struct, frozen=True, omit_defaults=True):
    """As in the file: `messages`, or one `question` alone."""

    messages: tuple[Message, ...] = ()
    question: str = ""
    key: tuple[tuple[str, ...], ...] = ()
    without: tuple[str, ...] = msgspec.field(default=(), name="not")
    answer: str | int | tuple[str, ...] = ()
    match: Literal["contains", "exact"] = "contains"
    choices: tuple[str, ...] = ()

    @property
    def asked(self) -> tuple[Message, ...]:
        """What is put to the model."""
        found = self.messages or (Message("user", self.question),)
        return found[:-1] if found[-1].role == "assistant" else found

    @property
    def meant(self) -> int:
        """Which of the `choices` is right; -1 where `answer` is none of them."""
        answer = self.answer[0] if isinstance(self.answer, tuple) and len(self.answer) == 1 else self.answer
        if isinstance(answer, int):
            return answer if 0 <= answer < len(self.choices) else -1
        if answer in self.choices:
            return self.choices.index(str(answer))
        letter = LETTERS.find(str(answer).strip().upper()) if len(str(answer).strip()) == 1 else -1
        return letter if letter < len(self.choices) else -1

    def right(self, answer: str) -> bool:
        """Whether `answer` holds what it must; what the model thought before it does not count."""
        answer = THOUGHT.sub("", answer, count=1)
        if self.key:
            whole = all(any(holds(answer, each) for each in group) for group in self.key)
        else:
            wanted = self.answer if isinstance(self.answer, tuple) else (str(self.answer),)
            same = holds if self.match == "contains" else _equal
            whole = any(same(answer, each) for each in wanted)
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


def _equal(answer: str, words: str) -> bool:
    """Whether it is these words and nothing else, but for case, width, spaces, and punctuation around."""
    return _bare(answer) == _bare(words)


def _bare(text: str) -> str:
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return re.sub(r"^[^\w]+|[^\w%]+$", "", text) or text


def read(path: Path, *, likelihoods: bool = True) -> tuple[Question, ...]:
    """The questions in a file; without `likelihoods` a choice is none. Raises NotAYardstick."""
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise NotAYardstick(path=path, line=1, detail=error.strerror or str(error)) from error
    if len(content) > LARGEST:
        raise NotAYardstick(path=path, line=1, detail=f"the file has more than {LARGEST} bytes")
    lines = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
    found = tuple(_question(line, path, number, likelihoods) for number, line in lines)
    if not found:
        raise NotAYardstick(path=path, line=1, detail="the file is empty")
    return found


def _question(line: bytes, path: Path, number: int, likelihoods: bool) -> Question:
    try:
        found = msgspec.json.decode(line, type=Question)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAYardstick(path=path, line=number, detail=str(error)) from error
    problem = _problem(found)
    if found.choices and not likelihoods:
        problem = "a choice is judged by likelihoods, which a server does not tell"
    if problem:
        raise NotAYardstick(path=path, line=number, detail=problem)
    return found


def _problem(found: Question) -> str:
    """What keeps it from being asked and judged; "" where nothing does."""
    if not found.question and not any(each.role == "user" for each in found.messages):
        return "it has neither messages nor a question"
    if found.choices:
        return "" if found.meant >= 0 else "its answer is none of its choices"
    answers = found.answer if isinstance(found.answer, tuple) else (str(found.answer),)
    if not found.key and answers and all(answers):
        return ""
    if not found.key or not all(group and all(group) for group in found.key):
        return "it has no key, or an empty one"
    return ""
