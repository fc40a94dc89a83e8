"""Every word of the stations from a file to a loadable model exists in Chinese: templates, hints and worded facts."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from string import Formatter

import pytest

from penjing.errors import PenjingError
from penjing.language import PHRASES, catalogue

SOURCE = Path(__file__).parents[2] / "src" / "penjing"
MODULES = (
    "probe.faults",
    "export.gguf.faults",
    "native.faults",
    "native.library",
    "shrink.quantize",
    "store.resolve",
)
STATIONS = ("native", "probe", "shrink", "export", "store")
# How often each of these takes a worded fact, and at which places.
WORDED = {"number": (1,), "count": (1,), "raw": (1,), "need": (1,), "refuse": (0, 2)}
SAID_BY_FORMATS = re.compile(r"[^a-zA-Z]*|BPE|rope.*|\w*_\w*|layer_types")


def templates() -> Iterator[str]:
    for module in MODULES:
        for _, kind in inspect.getmembers(import_module(f"penjing.{module}"), inspect.isclass):
            if issubclass(kind, PenjingError):
                yield from (kind.template, kind.hint)


def worded() -> Iterator[str]:
    for station in STATIONS:
        for path in (SOURCE / station).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield from (text.value for text in facts(node) if isinstance(text.value, str))


def facts(call: ast.Call) -> Iterator[ast.Constant]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    by_place = [call.args[place] for place in WORDED.get(name, ()) if place < len(call.args)]
    by_name = [word.value for word in call.keywords if word.arg in PHRASES]
    yield from (node for node in (*by_place, *by_name) if isinstance(node, ast.Constant))


@pytest.mark.parametrize("template", sorted({*templates()} - {""}))
def test_templates(template: str) -> None:
    chinese = catalogue("zh").get(template, "")
    names = {name for _, name, _, _ in Formatter().parse(template) if name}
    assert {name for _, name, _, _ in Formatter().parse(chinese) if name} == names


@pytest.mark.parametrize("phrase", sorted({text for text in worded() if not SAID_BY_FORMATS.fullmatch(text)}))
def test_worded_facts(phrase: str) -> None:
    assert phrase in catalogue("zh")


def test_the_scan_sees_them() -> None:
    assert {"the offset", "a power of two", "each occurs once", "the normalizer"} <= set(worded())
