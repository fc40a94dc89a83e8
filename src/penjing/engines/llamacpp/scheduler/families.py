"""How families of models write calls of functions: one file for each in `data/tools`.

    needs, lacks   what the chat template of such a model has in it, and what it has not
    layouts        what a call looks like, part after part; space between parts is free
    pair           how {pairs} are written: before a key, after it, before its value, after it
    name, arguments    the keys of {call}
    between        what may stand between one call and the next
    spaced         what the model writes around {call} and {pairs}

Parts: a text; `?` before one that may be missing; `{call}` an object with name and arguments, `{calls}` a list of them,
`{known call}` one of a function that was offered; `{name}`, `{tool}` a name, one that was offered; `{id}`;
`{arguments}` an object; `{pairs}` keys and values. A layout that begins with no text is only looked for where the
answer begins, or after a call.

Does not know: how a text is searched for them (`tools`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from typing import Any

import msgspec

FOLDER = "tools"


@dataclass(frozen=True)
class Family:
    """One file; fields as above."""

    name: str
    needs: tuple[str, ...]
    layouts: tuple[tuple[str, ...], ...]
    lacks: tuple[str, ...] = ()
    pair: tuple[str, ...] = ()
    keys: tuple[str, str] = ("name", "arguments")
    between: str = ""
    spaced: str = ""

    def writes(self, template: str) -> bool:
        """Whether a model with this chat template writes its calls so."""
        return all(mark in template for mark in self.needs) and not any(mark in template for mark in self.lacks)

    @property
    def marks(self) -> frozenset[str]:
        """The texts of its layouts, which may be control tokens."""
        parts = {part.removeprefix("?") for layout in self.layouts for part in layout if not part.startswith("{")}
        return frozenset(parts) | frozenset(filter(None, self.pair))


@functools.cache
def families() -> tuple[Family, ...]:
    """All of them, those first that need most of a template."""
    folder = resources.files("penjing") / "data" / FOLDER
    files = (file for file in folder.iterdir() if file.name.endswith(".toml"))
    found = [read(file.name.removesuffix(".toml"), file.read_text(encoding="utf-8")) for file in files]
    return tuple(sorted(found, key=lambda family: (-len(family.needs), family.name)))


def read(name: str, text: str) -> Family:
    """The family that a file describes. Raises ValueError, TypeError, KeyError."""
    fields: dict[str, Any] = msgspec.toml.decode(text)
    keys = (fields.pop("name", "name"), fields.pop("arguments", "arguments"))
    layouts = tuple(tuple(layout) for layout in fields.pop("layouts"))
    words: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    return Family(name=name, layouts=layouts, keys=keys, **words)


def of(template: str) -> Family | None:
    """The family of a chat template; None where none is known, or it has no place for tools."""
    return next((family for family in families() if family.writes(template)), None)
