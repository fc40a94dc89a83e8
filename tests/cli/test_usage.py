from __future__ import annotations

import click
import pytest
from click import exceptions

from penjing.cli.usage import TABLE, translate
from penjing.errors import InputError

FLOW = {exceptions.Exit, exceptions.Abort}
KINDS = [
    kind
    for kind in vars(exceptions).values()
    if isinstance(kind, type) and issubclass(kind, click.ClickException) and kind not in FLOW
]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not click.ClickException])
def test_every_complaint_of_click_is_in_the_table(kind: type[click.ClickException]) -> None:
    assert issubclass(kind, tuple(TABLE)), kind


def test_the_special_comes_before_the_general() -> None:
    kinds = list(TABLE)
    for place, kind in enumerate(kinds):
        assert not any(issubclass(later, kind) for later in kinds[place + 1 :])


def test_a_plain_complaint_keeps_its_words() -> None:
    error = translate(click.ClickException("something"))
    assert isinstance(error, InputError)
    assert error.message("en") == "something"
