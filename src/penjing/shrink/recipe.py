"""A recipe: which steps make a model smaller, in a TOML file.

    [model]
    name = "guide"            # what the command line names comes first

    [[step]]
    kind = "prune"
    ratio = 0.3

    [[step]]
    kind = "quantize"
    to = "1.5GB"

Relative paths are meant from the folder of the file. One value may stand for a list of one. A key that no option has is
an error with its line, never dropped.

Does not know: what steps do; what they cost.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin, get_type_hints

import msgspec

from penjing.errors import InputError, SettingError, UnknownOption
from penjing.files import expanded
from penjing.settings import wanted
from penjing.shrink.steps.kind import Kind, Named

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LARGEST = 1 << 20
"""Bytes of a recipe."""
MODEL, STEP, KIND = "model", "step", "kind"
MODEL_KEYS = ("name",)
HEADER = re.compile(r"\s*(\[{1,2})\s*([\w\"'.-]+?)\s*\]")
KEY = re.compile(r"\s*[\"']?([\w-]+)[\"']?\s*=")
FENCE = re.compile(r'"""|\'\'\'')


class NotARecipe(InputError):
    """Facts: `path`, `detail`."""

    template = "{path} is not a recipe: {detail}"
    hint = 'A recipe has steps like this one: [[step]] kind = "quantize" bits = 4'
    code = "invalid_recipe"


class UnknownKind(InputError):
    """Facts: `kind`, `where`, `near`, `known`."""

    template = "{where}: there is no step of the kind '{kind}'. Nearest: {near}"
    hint = "Kinds of steps: {known}"
    code = "unknown_step"


class UnknownInRecipe(UnknownOption):
    """Facts: `name`, `where`, `near`, `known`."""

    template = "{where}: unknown option '{name}'. Nearest: {near}"


@dataclass(frozen=True)
class Step:
    """`options` is of its kind's dataclass. `line` is where it stands in the file, 0 where it is of no file."""

    kind: str
    options: DataclassInstance
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Recipe:
    """`model` as a person names it; empty where the command line must."""

    steps: tuple[Step, ...]
    model: str = ""


def load(path: Path, kinds: Mapping[str, Kind]) -> Recipe:
    """The recipe in a file. Raises NotARecipe, UnknownKind, UnknownInRecipe, SettingError, each with its line."""
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise NotARecipe(path=str(path), detail=error.strerror or str(error)) from error
    if len(content) > LARGEST:
        raise NotARecipe(path=str(path), detail=f"it has more than {LARGEST} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise NotARecipe(path=str(path), detail=str(error)) from error
    return parse(text, kinds, path)


def parse(text: str, kinds: Mapping[str, Kind], path: Path = Path("recipe")) -> Recipe:
    """As `load`; `path` is what errors name, and where relative paths begin."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        page = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        raise NotARecipe(path=str(path), detail=str(error)) from error
    places = _Places(path, text)
    model = page.get(MODEL, {})
    tables = page.get(STEP, [])
    _require_known(page, (MODEL, STEP), str(path))
    if (
        not isinstance(model, dict)
        or not isinstance(tables, list)
        or not all(isinstance(each, dict) for each in tables)
    ):
        raise NotARecipe(path=str(path), detail="[model] is a table, and [[step]] are tables in double brackets")
    if not tables:
        raise NotARecipe(path=str(path), detail="it has no [[step]]")
    _require_known(model, MODEL_KEYS, places.of(MODEL, 0, next(iter(model.keys() - {*MODEL_KEYS}), "")))
    name = model.get("name", "")
    if not isinstance(name, str):
        raise SettingError(name="model.name", value=name, wanted=wanted(str), source=places.of(MODEL, 0, "name"))
    return Recipe(tuple(_step(table, kinds, places, at) for at, table in enumerate(tables)), name)


def made(kind: Kind, **given: object) -> Step:
    """A step with some options, checked as those of a file are; None means not given. Raises SettingError,
    UnknownInRecipe."""
    chosen = {name: value for name, value in given.items() if value is not None}
    return Step(kind.name, _options(kind, chosen, Path(), lambda key: kind.name))


def changed(step: Step, kind: Kind, without: str | None = None, **given: object) -> Step:
    """`step` with other values for some of its options, and that of `without` as if it had not been given. Raises
    SettingError, NotARecipe."""
    kept = {name: value for name, value in values(step).items() if name != without}
    return dataclasses.replace(made(kind, **{**kept, **given}), line=step.line)


def values(step: Step) -> dict[str, Any]:
    """Its options as JSON values, those that are not set left out."""
    built: dict[str, Any] = msgspec.to_builtins(step.options, enc_hook=str)
    return {name: value for name, value in built.items() if value is not None}


def chosen(step: Step) -> dict[str, Any]:
    """As `values`, without what nobody chose."""
    usual = {each.name: each.default for each in dataclasses.fields(step.options)}
    differing = {each for each, default in usual.items() if getattr(step.options, each) != default}
    return {name: value for name, value in values(step).items() if name in differing}


def text(recipe: Recipe) -> str:
    """The TOML of a recipe; `parse` makes the same recipe of it."""
    parts = [f"[{MODEL}]\nname = {_toml(recipe.model)}\n"] if recipe.model else []
    for step in recipe.steps:
        lines = [f"{name} = {_toml(value)}\n" for name, value in values(step).items() if _needed(step, name, value)]
        parts.append(f"[[{STEP}]]\n{KIND} = {_toml(step.kind)}\n{''.join(lines)}")
    return "\n".join(parts)


def _needed(step: Step, name: str, value: object) -> bool:
    """Whether a text must say it: nothing where nothing is meant anyway need not be said."""
    default = next(each.default for each in dataclasses.fields(step.options) if each.name == name)
    return not (value in ("", [], ()) and default in ("", ()))


def _step(table: dict[str, Any], kinds: Mapping[str, Kind], places: _Places, at: int) -> Step:
    place = partial(places.of, STEP, at)
    name = table.get(KIND)
    if name is None:
        raise NotARecipe(path=place(""), detail=f'this step has no {KIND} = "..."')
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        raise UnknownKind(kind=name, where=place(KIND), near=_near(str(name), kinds), known=", ".join(kinds))
    given = {key: value for key, value in table.items() if key != KIND}
    return Step(kind.name, _options(kind, given, places.path.parent, place), places.line(STEP, at, ""))


def _options(kind: Kind, given: Mapping[str, object], folder: Path, place: Any) -> DataclassInstance:
    hints = get_type_hints(kind.options, include_extras=True)
    known = {each.name: hints[each.name] for each in dataclasses.fields(kind.options) if each.init}
    filled = {}
    for key, value in given.items():
        if key not in known:
            raise UnknownInRecipe(name=key, where=place(key), near=_near(key, known), known=", ".join(known))
        if get_origin(known[key]) is tuple and not isinstance(value, (list, tuple)):
            value = [value]
        try:
            filled[key] = msgspec.convert(value, type=known[key], dec_hook=partial(_path, folder))
        except msgspec.ValidationError as error:
            facts = {"name": f"{kind.name}.{key}", "value": value, "wanted": wanted(known[key])}
            raise SettingError(**facts, source=place(key)) from error
    try:
        return kind.options(**filled)
    except TypeError as error:
        missing = [each.name for each in dataclasses.fields(kind.options) if each.init and each.name not in filled]
        raise NotARecipe(path=place(""), detail=f"{kind.name} needs {', '.join(missing)}") from error
    except SettingError as error:  # the dataclass's own check
        name = str(error.facts["name"])
        raise type(error)(**{**error.facts, "name": f"{kind.name}.{name}", "source": place(name)}) from error


def _path(folder: Path, kind: type, value: object) -> object:
    if issubclass(kind, Path) and isinstance(value, str):
        return folder / expanded(value)
    if issubclass(kind, Named) and isinstance(value, str):
        place = folder / expanded(value)
        return Named(place if value and place.exists() else value)
    raise TypeError(f"{value!r} is not a {kind.__name__}")


def _require_known(table: Mapping[str, object], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise UnknownInRecipe(name=key, where=where, near=_near(key, known), known=", ".join(known))


def _near(name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    return (get_close_matches(name, list(known), 1, 0.0) or [""])[0]


def _toml(value: Any) -> str:
    """A value as TOML writes it; its text is JSON's but for one character that TOML wants escaped."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)


class _Places:
    """Where in the file tables and keys stand, as exactly as the text tells: TOML parsers do not keep line numbers."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.known: dict[tuple[str, int, str], int] = {}
        seen: dict[str, int] = {}
        table = ("", 0)
        for number, line in _outside(text):
            if header := HEADER.match(line):
                name = header[2].strip("\"'")
                table = (name, seen.get(name, 0))
                seen[name] = table[1] + 1
                self.known.setdefault((*table, ""), number)
            elif key := KEY.match(line):
                self.known.setdefault((*table, key[1]), number)

    def line(self, table: str, index: int, key: str) -> int:
        """The line of a key in the table of that name that has `index` others before it; the table's own where the key
        is not found, 0 where nothing is."""
        return self.known.get((table, index, key)) or self.known.get((table, index, ""), 0)

    def of(self, table: str, index: int, key: str) -> str:
        """`recipe.toml:12`."""
        found = self.line(table, index, key)
        return f"{self.path}:{found}" if found else str(self.path)


def _outside(text: str) -> Iterator[tuple[int, str]]:
    """The lines that do not begin inside a text of several lines, with their numbers from 1."""
    inside = ""
    for number, line in enumerate(text.split("\n"), 1):
        if not inside:
            yield number, line
        for fence in FENCE.findall(line):
            inside = fence if not inside else "" if fence == inside else inside
