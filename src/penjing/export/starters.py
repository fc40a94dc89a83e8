"""Short programs that run an export, written beside it with its own names, shapes and end tokens.

The templates of a target lie in `data/starters/TARGET/` (Jinja, an undefined name is an error); `NAME.j2` becomes
`starter/NAME`, other files are copied; what comes out empty is left out. A template reads the fields of `Facts` by
their names, `parts` and `layers`, and writes texts with the filter `literal`: `{{ model | literal("kotlin") }}`.

Does not know: runtimes, how an export is made.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.export.manner import Manner

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

FOLDER = "starter"
TEMPLATES = "data/starters"
SUFFIX = ".j2"
NUMBER = re.compile(r"\d+")
CONTROL = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
ESCAPE = {"cpp": "\\{:03o}", "swift": "\\u{{{:x}}}"}
"""How a language writes a control character; `\\uXXXX` elsewhere."""


@dataclass(frozen=True)
class Tensor:
    """What goes in or comes out under `name`: the length of each axis, or a word where it changes from call to call
    (`"sequence"`, `"past"`); `dtype` in numpy's words (`"int64"`, `"float16"`)."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


@dataclass(frozen=True)
class State:
    """A part of the KV cache: what comes out as `kept` goes in as `given` with the next call. Where a runtime keeps it
    inside (Core ML's state), both are the same tensor."""

    given: Tensor
    kept: Tensor


@dataclass(frozen=True)
class Part:
    """One tensor of every layer's state: names with `{}` where the layer's number stands, the form at the first call
    (no positions yet, one conversation)."""

    given: str
    kept: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Facts:
    """What the templates of `target` are filled with.

    `model` is the model's name, `precision` the export's. `files` are paths below the export's folder by their role
    (`model`, `tokenizer`, and what a target adds). `inputs` and `outputs` are tensors by their role: `ids`,
    `positions`, `mask`; `logits`. `vocabulary` counts the entries of a row of logits. `context` is the most tokens a
    conversation may have here. `more` is a target's own: its templates read it as `more.NAME`.
    """

    target: str
    model: str
    precision: str
    files: Mapping[str, str]
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    outputs: Mapping[str, Tensor] = field(default_factory=dict)
    state: tuple[State, ...] = ()
    vocabulary: int = 0
    context: int = 0
    manner: Manner = field(default_factory=Manner)
    more: Mapping[str, object] = field(default_factory=dict)

    @property
    def layers(self) -> int:
        """How often `parts` repeats: once where the layers' tensors are not alike."""
        return len(self.state) // len(self.parts) if self.state else 0

    @property
    def parts(self) -> tuple[Part, ...]:
        """The state as what each layer has, for a program that counts layers; all of it, without a `{}`, where the
        layers are not alike."""
        numbers = [tuple(NUMBER.findall(each.given.name)) for each in self.state]
        count = len(set(numbers))
        if all(len(each) == 1 for each in numbers):
            made = dict.fromkeys(
                _part(each, NUMBER.sub("{}", each.given.name), NUMBER.sub("{}", each.kept.name)) for each in self.state
            )
            names = {(part.given.format(layer), part.kept.format(layer)) for part in made for layer in range(count)}
            named = {(each.given.name, each.kept.name) for each in self.state}
            if names == named and len(made) * count == len(self.state):
                return tuple(made)
        return tuple(_part(each, each.given.name, each.kept.name) for each in self.state)


def _part(state: State, given: str, kept: str) -> Part:
    """Axes that change are 0 long at first; a batch holds one conversation."""
    shape = tuple(axis if isinstance(axis, int) else int(axis == "batch") for axis in state.given.shape)
    return Part(given, kept, shape, state.given.dtype)


def write(facts: Facts, folder: Path) -> list[Path]:
    """Write the starters of `facts.target` to `starter/` in `folder`; the files' paths, none where the target has no
    templates. Raises OSError; jinja2.UndefinedError where a template names what `facts` lacks."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["literal"] = literal
    values = {each.name: getattr(facts, each.name) for each in dataclasses.fields(facts)}
    values |= {"parts": facts.parts, "layers": facts.layers}
    written = []
    for name, source in templates(facts.target):
        text = source.read_text(encoding="utf-8")
        made = environment.from_string(text).render(values) if name.endswith(SUFFIX) else text
        if not made.strip():
            continue
        path = folder / FOLDER / name.removesuffix(SUFFIX)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made, encoding="utf-8")
        written.append(path)
    return written


def templates(target: str) -> list[tuple[str, Traversable]]:
    """The files of `target`'s templates, by their paths below its folder, sorted."""
    root = resources.files("penjing").joinpath(TEMPLATES, target)
    return sorted(_below(root, ""), key=lambda pair: pair[0]) if root.is_dir() else []


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _below(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry


def literal(text: str, language: str) -> str:
    """`text` as a string in double quotes in `language`: `python`, `javascript`, `java`, `kotlin`, `cpp` or `swift`.

    >>> literal('a "b"', "python")
    '"a \\\\"b\\\\""'
    """
    special = {"\\": "\\\\", '"': '\\"', **CONTROL} | ({"$": "\\$"} if language == "kotlin" else {})
    escape = ESCAPE.get(language, "\\u{:04x}")
    return (
        '"'
        + "".join(special.get(each) or (escape.format(ord(each)) if ord(each) < 32 else each) for each in text)
        + '"'
    )
