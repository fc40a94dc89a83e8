"""Everything a person can see has a Chinese entry with the same facts: calls in the code, errors, help, tables."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from string import Formatter

import pytest

from penjing.cli.main import VERBS, penjing
from penjing.cli.reference import every_command
from penjing.cli.verb import Verb
from penjing.language import catalogue
from test_errors import every_error

SOURCE = Path(__file__).parents[2] / "src" / "penjing"
SAYING = {"say", "said", "note", "warn", "tell"}
TABLES = {
    "penjing.settings": ("WORDS",),
    "penjing.cli.progress": ("STAGES",),
    "penjing.cli.doctor": ("CHECKS",),
    "penjing.cli.engines": ("MEANINGS",),
    "penjing.cli.keys": ("WANTED", "MAY", "STATES"),
    "penjing.cli.store.room": ("KEPT",),
    "penjing.cli.trust.keys": ("POLICIES",),
    "penjing.cli.trust.models": ("STATES",),
    "penjing.engines.llamacpp.derive": ("REASONS",),
    "penjing.operate.tune.report": ("TITLES", "WORKLOADS"),
    "penjing.operate.measure.profile.words": ("REMARKS", "WORDS"),
    "penjing.plan.bill": ("NAMES",),
    "penjing.plan.quality": ("GRADES",),
    "penjing.plan.report.memory": ("PARTS",),
    "penjing.plan.report.page": ("TITLES", "LEGENDS"),
    "penjing.shrink.planning": ("FORMS",),
    "penjing.shrink.report.landscape": ("WORDS",),
    "penjing.shrink.report.page": ("TITLES", "LEGENDS"),
    "penjing.plan.words": ("REASONS", "ASSUMED_OF"),
}
"""Tables whose texts are said through a variable: their values where those are texts, else their keys."""


def in_calls() -> Iterator[str]:
    """Literal templates of calls that say something."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and called(node) in SAYING:
                yield from (part.value for part in spoken(node.args[0]) if is_text(part))


def spoken(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of an expression but for keys: what `TITLES["plan"]` says is in the table."""
    if isinstance(node, ast.Subscript):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from spoken(child)


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(node.value)


def in_pages() -> Iterator[str]:
    """What the templates of reports say themselves."""
    for path in (SOURCE / "data" / "report").glob("*.html"):
        yield from re.findall(r'said\("([^"]+)"', path.read_text(encoding="utf-8"))


def in_wishes() -> Iterator[str]:
    """What a SettingError says is wanted."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            wanted: list[ast.AST] = []
            if isinstance(node, ast.Call) and called(node) == "SettingError":
                wanted += [word.value for word in node.keywords if word.arg == "wanted"]
            if isinstance(node, ast.Call) and called(node) == "_require":
                wanted += node.args[2:]
            if isinstance(node, ast.Dict):
                wanted += [value for key, value in zip(node.keys, node.values, strict=True) if is_wish(key)]
            yield from (value.value for value in wanted if is_text(value))


def is_wish(key: ast.AST | None) -> bool:
    return isinstance(key, ast.Constant) and key.value == "wanted"


def in_help() -> Iterator[str]:
    """Help pages, examples and summaries."""
    verbs = [penjing, *(command for _, command in every_command())]
    yield from (summary for _, summary in VERBS.values())
    for verb in verbs:
        assert isinstance(verb, Verb)
        yield str(verb.help)
        yield from (meaning for _, meaning in verb.examples)
        yield from (help for option in verb.params if (help := getattr(option, "help", None)))


def in_tables() -> Iterator[str]:
    from penjing.cli.chat.commands import COMMANDS

    yield from (command.summary for command in COMMANDS.values())
    for module, names in TABLES.items():
        for name in names:
            table = getattr(import_module(module), name)
            yield from (value if isinstance(value, str) else key for key, value in table.items())


def fields(template: str) -> set[str]:
    return {name.split("!")[0] for _, name, _, _ in Formatter().parse(template) if name}


EVERYTHING = sorted({*in_calls(), *in_pages(), *in_wishes(), *in_help(), *in_tables()} - {"{detail}", "{line}"})


@pytest.mark.parametrize("template", EVERYTHING)
def test_it_has_a_chinese_entry_with_the_same_facts(template: str) -> None:
    chinese = catalogue("zh")
    assert template in chinese, f"no Chinese for {template!r}"
    assert fields(chinese[template]) == fields(template)


def test_the_scan_finds_what_is_said() -> None:
    assert {"Saved: {path}", "a whole number", "Talk to a model on this machine.", "exact; q8_0"} <= {
        part[:11] if part.startswith("exact") else part for part in EVERYTHING
    }


def test_every_page_of_the_catalogue_is_texts_by_texts() -> None:
    for english, chinese in catalogue("zh").items():
        assert isinstance(chinese, str)
        assert fields(chinese) <= fields(english), english


def test_nothing_is_translated_that_nobody_says() -> None:
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py"))
    said = {node.value for tree in trees for node in ast.walk(tree) if is_text(node)}
    said |= set(in_pages())
    said |= {text for kind in every_error() for text in (kind.template, kind.hint)}  # some are put together
    assert sorted(set(catalogue("zh")) - said) == []


def test_no_text_is_translated_twice() -> None:
    """Of two entries one would win by the name of its page."""
    pages = sorted((SOURCE / "data" / "language" / "zh").glob("*.json"))
    keys = [key for page in pages for key in json.loads(page.read_text(encoding="utf-8"))]
    assert sorted(keys) == sorted(set(keys))
