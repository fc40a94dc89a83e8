"""Every reason and every error of the engines exists in Chinese, with the same facts."""

import string

import pytest

from penjing.engines import remote
from penjing.engines.llamacpp import derive, devices, room, sheet, stretch
from penjing.errors import PenjingError
from penjing.language import catalogue
from penjing.operate import supervise

MODULES = (remote, derive, devices, room, stretch, supervise)
ERRORS = [
    kind
    for module in MODULES
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, PenjingError) and kind.__module__ == module.__name__
]
REASONS = [sheet.ASKED, *derive.REASONS.values()] + [
    value for name, value in vars(room).items() if name.isupper() and isinstance(value, str)
]
TEMPLATES = REASONS + [text for kind in ERRORS for text in (kind.template, kind.hint) if text]


def facts(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize("template", sorted(set(TEMPLATES)))
def test_in_chinese(template: str) -> None:
    assert template in catalogue("zh")
    assert facts(catalogue("zh")[template]) <= facts(template)


def test_something_was_looked_at() -> None:
    assert len(ERRORS) >= 8
    assert len(REASONS) >= 20
