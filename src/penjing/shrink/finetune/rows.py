"""Examples as a person keeps them, one JSON object a line (or an array of them), told with file and line where one is
wrong.

    {"messages": [{"role": "user", "content": "..."}, ...], "tools": [...]}    as OpenAI writes conversations
    {"instruction": "...", "input": "...", "output": "...", "system": "..."}   as Alpaca does
    {"text": "..."}                                                            learned whole

What else an object holds is not read: data sets have many columns.

Does not know: models, tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from penjing.plan.said import Said, said
from penjing.shrink.finetune.faults import BadExample, NoSuchData

ROLES = ("system", "developer", "user", "assistant", "tool")
KEPT = ("role", "content", "tool_calls", "tool_call_id", "name", "reasoning_content")
"""Fields of a message that chat templates know."""
BETWEEN = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Row:
    """One example and where it stands. `messages` end with an assistant's; `text` is set where there are none."""

    path: Path
    line: int
    messages: tuple[Mapping[str, Any], ...] = ()
    tools: tuple[Any, ...] = ()
    text: str = ""


def read(paths: Sequence[Path]) -> list[Row]:
    """All examples, in their order. Raises BadExample, NoSuchData."""
    return [row for path in paths for row in _file(path)]


def _file(path: Path) -> Iterator[Row]:
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        text = content.decode()
    except OSError as error:
        raise NoSuchData(path=str(path), detail=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        _wrong(path, line, said("byte {byte} of the file is not UTF-8.", byte=error.start))
    found = 0
    for line, value in _array(path, text) if text.lstrip().startswith("[") else _lines(path, text):
        found += 1
        yield _row(path, line, value)
    if not found:
        raise NoSuchData(path=str(path), detail="it is empty")


def _lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):  # other line ends may stand inside a string
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                _wrong(path, number, said("this is no JSON: {error}", error=error))


def _array(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """The objects of one big array, each with the line it begins in."""
    decoder, at, line, counted = json.JSONDecoder(), text.index("[") + 1, 1, 0
    while True:
        at = BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing too
        line, counted = line + text.count("\n", counted, at), at
        if text[at : at + 1] == "]":
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            _wrong(path, line, said("this is no JSON: {error}", error=error))
        yield line, value


def _row(path: Path, line: int, value: object) -> Row:
    if not isinstance(value, dict):
        _wrong(path, line, said("a JSON object is wanted, this is {found}.", found=_kind(value)))
    if "messages" in value:
        tools = value.get("tools")
        if tools is not None and not isinstance(tools, list):
            _wrong(path, line, said("tools is {found}, not a list.", found=_kind(tools)))
        return Row(path, line, _messages(path, line, value["messages"]), tuple(tools or ()))
    if "instruction" in value:
        return Row(path, line, _alpaca(path, line, value))
    if "text" not in value:
        _wrong(
            path,
            line,
            said(
                "it has none of messages, instruction, text; it has: {names}.", names=", ".join(map(str, value)) or "-"
            ),
        )
    text = _string(path, line, value, "text")
    if not text.strip():
        _wrong(path, line, said("its {name} is empty.", name="text"))
    return Row(path, line, text=text)


def _alpaca(path: Path, line: int, value: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    instruction, more, output, system = (
        _string(path, line, value, name) for name in ("instruction", "input", "output", "system")
    )
    for name, words in (("instruction", instruction or more), ("output", output)):
        if not words.strip():
            _wrong(path, line, said("its {name} is empty.", name=name))
    question = "\n\n".join(filter(None, (instruction, more)))
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": output}]
    return tuple([{"role": "system", "content": system}, *turns] if system else turns)


def _string(path: Path, line: int, value: Mapping[str, Any], name: str) -> str:
    given = value.get(name) or ""
    if not isinstance(given, str):
        _wrong(path, line, said("its {name} is {found}, not text.", name=name, found=_kind(given)))
    return given


def _messages(path: Path, line: int, value: object) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list) or not value:
        _wrong(path, line, said("messages is not a list with messages in it."))
    told = [_message(path, line, index, each) for index, each in enumerate(value)]
    while told and told[-1]["role"] != "assistant":  # a question that nobody answered teaches nothing
        told.pop()
    if not told:
        _wrong(path, line, said("no message is from the assistant, so there is nothing to learn."))
    return tuple(told)


def _message(path: Path, line: int, index: int, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        _wrong(path, line, said("messages[{index}] is {found}, not an object.", index=index, found=_kind(value)))
    role = value.get("role")
    if role not in ROLES:
        _wrong(
            path,
            line,
            said(
                "messages[{index}].role is {role}, not one of {known}.",
                index=index,
                role=repr(role),
                known=", ".join(ROLES),
            ),
        )
    content = value.get("content")
    if isinstance(content, list):
        content = _parts(path, line, index, content)
    if not isinstance(content, str | None):
        _wrong(path, line, said("messages[{index}].content is {found}, not text.", index=index, found=_kind(content)))
    if not (content or value.get("tool_calls") or role in ("tool", "system")):
        _wrong(path, line, said("messages[{index}] ({role}) says nothing.", index=index, role=role))
    kept = {name: value[name] for name in KEPT if value.get(name) is not None}
    return {**kept, "role": "system" if role == "developer" else role, "content": content or ""}


def _parts(path: Path, line: int, index: int, parts: list[Any]) -> str:
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    if len(texts) != len(parts) or not all(isinstance(each, str) for each in texts):
        _wrong(
            path,
            line,
            said("messages[{index}].content has parts that are not text; only text is learned here.", index=index),
        )
    return "".join(map(str, texts))


def _kind(value: object) -> Said:
    if isinstance(value, dict):
        return said("an object")
    if isinstance(value, list):
        return said("a list")
    if isinstance(value, str):
        return said("text")
    if isinstance(value, bool):
        return said("true or false")
    return said("null") if value is None else said("a number")


def _wrong(path: Path, line: int, detail: Said) -> NoReturn:
    raise BadExample(path=str(path), line=line, detail=detail)
