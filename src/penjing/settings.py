"""Settings: small frozen dataclasses, filled from the nearest source that names a field.

    command line > PENJING_<SECTION>_<FIELD> > ./penjing.toml > PENJING_HOME/config.toml > /etc/penjing/config.toml

A file has one table a section (`[engine]`, `[serve]`, ...), or one for each of several things (`[engines.NAME]`). The
dataclass is the schema: its annotations say what a value may be (`Annotated[int, msgspec.Meta(ge=1)]` where there is a
range), its defaults are the last source. A name that no field has is an error, never dropped.

Does not know: which sections exist; the station or door that owns a dataclass loads it.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from penjing.errors import InputError, SettingError, UnknownOption
from penjing.files import expanded, home
from penjing.language import say

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
PROJECT = "penjing.toml"
USER = "config.toml"
SYSTEM = Path("/etc/penjing/config.toml")
DEFAULT = "default"
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}


class SettingsFileInvalid(InputError):
    """A settings file cannot be read. Facts: `path`, `detail` (with line and column)."""

    template = "{path} is not a settings file: {detail}"
    hint = "Correct it (TOML), or move it away."
    code = "invalid_settings_file"


class SetTwice(InputError):
    """Facts: `path`, `section`, `first`, `second` (two ways to write one name)."""

    template = "{path} says [{section}] {first} and {second}, which are the same setting."
    hint = "Leave one of them out."
    code = "setting_twice"


class PartInvalid(SettingError):
    """A value made of parts, one of which cannot be. Facts: `name`, `source`, `detail` (with the place inside)."""

    template = "Setting {name} (from {source}) cannot be used: {detail}"


@dataclasses.dataclass(frozen=True)
class Loaded(Generic[T]):
    """The value, and for each field where it came from: a flag, a variable, a file, or `default`."""

    value: T
    sources: dict[str, str]


Section = str | tuple[str, str]
"""A table's name; of a table in a table both names (`engines`, NAME), which has no variables in the environment."""


def load(
    kind: type[T], section: Section, given: Mapping[str, object] | None = None, beside: Iterable[str] = ()
) -> Loaded[T]:
    """Fill `kind` from all sources. In `given` (the command line) None means not given. `beside` are fields of the same
    table that somebody else reads.

    Raises UnknownOption for a name that `kind` does not have, SettingError for a value that is not of the field's
    type, SettingsFileInvalid for a file that is not TOML.
    """
    hints = get_type_hints(kind, include_extras=True)
    fields = {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}
    values: dict[str, object] = {}
    sources = dict.fromkeys(fields, DEFAULT)
    others, shown = frozenset(beside), _shown(section)
    for layer in (_from_command_line(given or {}, fields), _from_environment(section, fields), *_from_files(section)):
        for name, (raw, source, lax) in layer.items():
            if name in others and name not in fields:
                continue
            if name not in fields:
                raise UnknownOption(name=name, where=source, known=", ".join((*fields, *sorted(others))))
            if name not in values:
                values[name] = _convert(raw, fields[name], name=f"{shown}.{name}", source=source, lax=lax)
                sources[name] = source
    try:
        return Loaded(kind(**values), sources)
    except SettingError as error:  # the dataclass's own check, which cannot know where the value came from
        name = str(error.facts["name"])
        facts = {**error.facts, "name": f"{shown}.{name}", "source": sources.get(name, DEFAULT)}
        raise SettingError(**facts) from error


def places() -> tuple[Path, ...]:
    """The settings files that are looked for, the strongest first."""
    return (Path(PROJECT), home() / USER, SYSTEM)


def require_sections(known: Iterable[str], more: Callable[[], Iterable[str]] = tuple) -> None:
    """Raises UnknownOption for a table in a settings file that nothing reads. `more` is asked only where `known` does
    not have it."""
    names = tuple(known)
    for path in places():
        for section in _read(path):
            if section not in names:
                names = tuple(dict.fromkeys((*names, *more())))
            if section not in names:
                raise UnknownOption(name=section, where=str(path), known=", ".join(names))


def entries(section: str) -> tuple[str, ...]:
    """The names of the tables in a table (`[engines.NAME]`), of all files, those of the strongest first. Raises
    SettingError for something else in it, SettingsFileInvalid."""
    names: list[str] = []
    for path in places():
        for name, table in _table(path, section).items():
            if not isinstance(table, dict):
                raise SettingError(name=f"{section}.{name}", value=table, wanted="a table", source=str(path))
            names.append(name)
    return tuple(dict.fromkeys(names))


Layer = dict[str, tuple[object, str, bool]]
"""Field to (raw value, source, whether it is text to be read leniently)."""


def _from_command_line(given: Mapping[str, object], fields: Mapping[str, object]) -> Layer:
    layer: Layer = {}
    for name, value in given.items():
        if value is not None and value != ():
            lax = name in fields and isinstance(value, str)
            layer[name] = (_parts(cast(str, value), fields[name]) if lax else value, "--" + name.replace("_", "-"), lax)
    return layer


def _from_environment(section: Section, fields: Mapping[str, object]) -> Layer:
    layer: Layer = {}
    if not isinstance(section, str):
        return layer
    prefix = f"PENJING_{section.upper()}_"
    for variable, text in os.environ.items():
        if variable.startswith(prefix) and text:
            name = variable.removeprefix(prefix).lower()
            layer[name] = (_parts(text, fields[name]) if name in fields else text, variable, True)
    return layer


def _parts(text: str, hint: object) -> object:
    """Text from where lists cannot be written: several values are parted by commas."""
    return [part.strip() for part in text.split(",")] if _is_sequence(hint) else text


def _from_files(section: Section) -> list[Layer]:
    layers = []
    for path in places():
        layer: Layer = {}
        written: dict[str, str] = {}
        for key, value in _table(path, section).items():
            name = key.replace("-", "_")
            if name in written:
                raise SetTwice(path=str(path), section=_shown(section), first=written[name], second=key)
            written[name] = key
            layer[name] = (value, _place(path, _shown(section), key), False)
        layers.append(layer)
    return layers


def _shown(section: Section) -> str:
    return section if isinstance(section, str) else ".".join(section)


def _table(path: Path, section: Section) -> dict[str, Any]:
    """One table of a file; `{}` where there is none. Raises SettingError where it is something else."""
    table: object = _read(path)
    for name in (section,) if isinstance(section, str) else section:
        table = table.get(name, {}) if isinstance(table, dict) else {}
        if not isinstance(table, dict):
            raise SettingError(name=_shown(section), value=table, wanted="a table", source=str(path))
    return cast("dict[str, Any]", table)


def _read(path: Path) -> dict[str, Any]:
    """The tables of one file; `{}` where there is none."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise SettingsFileInvalid(path=str(path), detail=str(error)) from error


def _place(path: Path, section: str, key: str) -> str:
    """`penjing.toml:12`, as exactly as the text tells: TOML parsers do not keep line numbers."""
    inside = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if header := re.match(r"\s*\[\s*([^\]]+?)\s*\]", line):
            inside = header[1] == section
        elif inside and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return f"{path}:{number}"
    return str(path)


def _convert(raw: object, hint: object, *, name: str, source: str, lax: bool) -> object:
    import msgspec

    try:
        return msgspec.convert(raw, type=hint, strict=not lax, dec_hook=_to_path)
    except msgspec.ValidationError as error:
        if isinstance(raw, (dict, list)) and _has_parts(raw):
            raise PartInvalid(name=name, value=raw, source=source, detail=str(error)) from error
        raise SettingError(name=name, value=raw, wanted=wanted(hint), source=source) from error


def _has_parts(raw: dict[str, object] | list[object]) -> bool:
    return isinstance(raw, dict) or any(isinstance(part, dict) for part in raw)


def _to_path(kind: type, value: object) -> object:
    if issubclass(kind, Path) and isinstance(value, (str, Path)):
        return expanded(value)
    raise TypeError(f"{value!r} is not a {kind.__name__}")


def one_of(choices: Iterable[object]) -> str:
    """What is wanted where a value must be among `choices`, in the reader's language."""
    return say("one of {choices}", choices=", ".join(map(str, choices)))


def wanted(hint: object) -> str:
    """What a value of this annotation may be, in the reader's language."""
    hint, low, high = _bare(hint)
    if get_origin(hint) is Literal:
        return one_of(get_args(hint))
    if _is_sequence(hint):
        parts = [part for part in get_args(hint) if part is not Ellipsis]
        return say("a list, each {one}", one=wanted(parts[0])) if parts else say("a list of values")
    word = say(WORDS.get(hint, "a value of its kind") if isinstance(hint, type) else "a value of its kind")
    if low is not None and high is not None:
        return say("{word} from {low} to {high}", word=word, low=low, high=high)
    return word if low is None else say("{word} of at least {low}", word=word, low=low)


def _bare(hint: object) -> tuple[object, object, object]:
    """An annotation without `| None` and `Annotated`, with the lowest and highest value it allows."""
    if get_origin(hint) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        return _bare(kinds[0]) if len(kinds) == 1 else (hint, None, None)
    if get_origin(hint) is Annotated:
        kind, *notes = get_args(hint)
        low = next((note.ge for note in notes if getattr(note, "ge", None) is not None), None)
        high = next((note.le for note in notes if getattr(note, "le", None) is not None), None)
        return _bare(kind)[0], low, high
    return hint, None, None


def _is_sequence(hint: object) -> bool:
    return get_origin(_bare(hint)[0]) in (tuple, list)
