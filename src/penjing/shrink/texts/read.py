"""A person's own text: a .txt or .md file, a .jsonl in the usual forms, or a folder of these.

    {"text": "..."}                                            prose
    {"messages": [{"role": "user", "content": "..."}, ...]}    a conversation
    {"conversations": [{"from": "human", "value": "..."}]}     the same, as ShareGPT writes it
    {"instruction": "...", "input": "...", "output": "..."}    as Alpaca writes it
    {"prompt": "...", "completion": "..."}                     one question, one answer
    {"question": "...", "answer": "..."}                       the same

A line may also say its "language" ("lang"). What else a line holds is not read.

Does not know: models, tokens.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from penjing.files import human
from penjing.shrink.texts.faults import NotAText, NotUnicode
from penjing.shrink.texts.text import Document, Text, Turn

LARGEST = 1 << 28
"""Bytes of a file that are read; a longer one is refused, not cut."""
PIECE = 4000
"""Characters of a document that prose is divided into, at an empty line."""
PROSE, LINES = (".txt", ".md"), (".jsonl", ".json")
ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "chatgpt": "assistant", "model": "assistant"}
FORMS = "text, messages, conversations, instruction and output, prompt and completion, question and answer"


class _Message(Struct, frozen=True):
    role: str = ""
    content: str | None = ""
    sender: str = msgspec.field(default="", name="from")
    value: str = ""


class Line(Struct, frozen=True):
    """One line of a .jsonl, whatever its form."""

    text: str = ""
    messages: tuple[_Message, ...] = ()
    conversations: tuple[_Message, ...] = ()
    instruction: str = ""
    input: str = ""
    output: str = ""
    prompt: str = ""
    completion: str = ""
    response: str = ""
    question: str = ""
    answer: str = ""
    system: str = ""
    language: str = ""
    lang: str = ""

    def document(self) -> Document | None:
        """What it says; None where it has none of the forms."""
        language = self.language or self.lang
        said = self.messages or self.conversations
        if said:
            turns = tuple(_turn(each) for each in said)
        elif self.text:
            return Document(self.text, language=language)
        else:
            asked = self.prompt or self.question or "\n\n".join(filter(None, (self.instruction, self.input)))
            told = self.output or self.completion or self.response or self.answer
            turns = (Turn("user", asked), Turn("assistant", told)) if asked and told else ()
        if turns and self.system:
            turns = (Turn("system", self.system), *turns)
        return Document(turns=turns, language=language) if turns else None


def _turn(message: _Message) -> Turn:
    role = message.role or message.sender
    return Turn(ROLES.get(role, role), message.content or message.value)


def read(path: Path) -> Text:
    """The text of a file, or of all .txt, .md and .jsonl files in a folder (and those below it) by their names.
    Raises NotAText."""
    if not path.is_dir():
        return Text(path.name, tuple(_file(path)))
    found = [each for each in sorted(path.rglob("*")) if each.suffix.lower() in PROSE + LINES and each.is_file()]
    documents = tuple(document for each in found for document in _file(each))
    if not documents:
        raise NotAText(path=path, line=1, detail="the folder has no .txt, .md or .jsonl file with text")
    return Text(path.name, documents)


def _file(path: Path) -> Iterator[Document]:
    content = _content(path)
    if path.suffix.lower() in LINES:
        found = list(_lines(path, content))
    else:
        found = [Document(piece) for piece in pieces(_decoded(path, content))]
    if not found:
        raise NotAText(path=path, line=1, detail="the file is empty")
    yield from found


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise NotAText(path=path, line=1, detail=error.strerror or str(error)) from error
    if len(content) > LARGEST:
        raise NotAText(path=path, line=1, detail=f"the file has more than {human(LARGEST)}; give a part of it")
    return content.removeprefix(b"\xef\xbb\xbf")


def _decoded(path: Path, content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line, detail = content.count(b"\n", 0, error.start) + 1, f"byte {error.start} is not UTF-8"
        raise NotUnicode(path=path, line=line, detail=detail, encoding=_encoding(content)) from error
    if "\0" in text:
        raise NotAText(path=path, line=text.count("\n", 0, text.index("\0")) + 1, detail="it holds binary data")
    return text


def _encoding(content: bytes) -> str:
    """What text that is no UTF-8 may be written in: 16 bits with a mark, else Chinese Windows' where it can be, else
    that of Western Windows."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    try:
        content.decode("gb18030")
    except UnicodeDecodeError:
        return "WINDOWS-1252"
    return "GB18030"


def _lines(path: Path, content: bytes) -> Iterator[Document]:
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            document = msgspec.json.decode(line, type=Line).document()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NotAText(path=path, line=number, detail=str(error)) from error
        if document is None:
            raise NotAText(path=path, line=number, detail=f"it has none of: {FORMS}")
        yield document


def pieces(text: str, size: int = PIECE) -> list[str]:
    """Prose divided at empty lines into pieces of about `size` characters; nothing but white space is lost.

    >>> pieces("one\\n\\ntwo\\n\\nthree", size=9)
    ['one\\n\\ntwo', 'three']
    """
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        paragraph = paragraph.strip("\r\n")
        if not paragraph.strip():
            continue
        if found and len(found[-1]) + len(paragraph) + 2 <= size:
            found[-1] += "\n\n" + paragraph
        else:
            found.append(paragraph)
    return found
