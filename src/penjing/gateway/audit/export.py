"""Records out of a log: those of a time, of a key, as JSON lines or as a table.

Does not know: whether they are sound (`verify`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from penjing.gateway.audit.chain import Torn, decoded
from penjing.gateway.audit.files import numbered

COLUMNS = (
    *("n", "at", "what", "key", "peer", "dialect", "path", "model", "engine", "local", "status", "code"),
    *("prompt_tokens", "completion_tokens", "seconds", "cached", "notes", "question", "answer"),
    *("version", "decision", "by", "why", "numbers"),
)
TOLD = ("answer", "leaves", "feedback", "release", "upgrade")
"""Kinds of records that are of people and models; the others are the log's own."""


def records(folders: Iterable[Path], since: str = "", until: str = "", key: str = "") -> Iterator[dict[str, Any]]:
    """The records of requests and decisions, in order. `since` and `until` are beginnings of times as records hold them
    (UTC): from the first on, before the second."""
    for folder in folders:
        for _, path in numbered(folder):
            with path.open("rb") as stream:
                for line in stream:
                    try:
                        said = decoded(line)
                    except Torn:  # verify names it
                        continue
                    at = str(said.get("at", ""))
                    wanted = said.get("what") in TOLD and since <= at and (not until or at < until)
                    if wanted and (not key or said.get("key") == key):
                        yield said


def jsonl(found: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """A JSON object a line."""
    for said in found:
        yield msgspec.json.encode(said) + b"\n"


def table(found: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """CSV (RFC 4180) with a heading; what is no text or number as JSON. A cell that a spreadsheet would take for a
    formula begins with an apostrophe."""
    yield _row(COLUMNS)
    for said in found:
        yield _row([_cell(said.get(name, "")) for name in COLUMNS])


def _row(cells: Iterable[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, (dict, list, bool)):
        value = msgspec.json.encode(value).decode()
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value
