"""A passphrase from a file, or typed by a person.

Does not know: what it opens.
"""

from __future__ import annotations

import sys

import click

from penjing.language import say


def person() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def typed(name: str, *, twice: bool = False) -> str:
    """What a person types for `name`, unseen; `twice` where a slip would lock them out."""
    text = say("Passphrase of {model}", model=name)
    found: str = click.prompt(text, hide_input=True, err=True, confirmation_prompt=say("Once more") if twice else False)
    return found
