from __future__ import annotations

import pickle
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from string import Formatter

import pytest

import penjing
from penjing import errors
from penjing.cli.reference import EXTRAS
from penjing.errors import PenjingError
from penjing.language import catalogue


def every_error() -> list[type[PenjingError]]:
    """All error classes of all stations."""
    for module in pkgutil.walk_packages(penjing.__path__, "penjing."):
        if not module.name.endswith(("__main__", ".worker")):
            try:
                import_module(module.name)
            except ModuleNotFoundError as error:  # what is made of an extra's classes; its errors stand elsewhere
                if error.name not in EXTRAS:
                    raise
    return [PenjingError, *below(PenjingError)]


def below(kind: type[PenjingError]) -> Iterator[type[PenjingError]]:
    for child in kind.__subclasses__():
        yield child
        yield from below(child)


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_speaks_both_languages(kind: type[PenjingError]) -> None:
    chinese = catalogue("zh")
    for template in filter(None, (kind.template, kind.hint)):
        if template == "{detail}":
            continue
        assert template in chinese, f"{kind.__name__}: no Chinese for {template!r}"
        assert fields(chinese[template]) <= fields(template)


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_can_cross_a_process_border(kind: type[PenjingError]) -> None:
    facts: dict[str, object] = dict.fromkeys(fields(kind.template) | fields(kind.hint), "7")
    error = kind(**facts)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert again.message("en") == error.message("en") == str(error)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    here = {kind.__name__ for kind in below(PenjingError) if kind.__module__ == "penjing.errors"}
    assert drawn == here


def test_message_and_advice_in_the_readers_language(monkeypatch: pytest.MonkeyPatch) -> None:
    error = errors.PortInUse(host="127.0.0.1", port=8000, free=8001)
    assert error.message("en") == "Port 8000 on 127.0.0.1 is in use by another program."
    assert error.advice("en") == "Choose another: --port 8001"
    monkeypatch.setenv("PENJING_LANGUAGE", "zh")
    assert "8000" in error.message()
    assert error.message() != error.message("en")
    assert str(error) == error.message("en")
