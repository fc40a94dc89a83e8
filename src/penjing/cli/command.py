"""The command line that was typed, to be written under what came of it; without its secrets."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

SECRET = ("--remote-key", "--vs-key", "--api-key", "--key-command")
HIDDEN = "..."


def command(arguments: Sequence[str]) -> str:
    """
    >>> command(["bench", "http://office:8000", "--remote-key", "abc", "--vs-key=def"])
    'penjing bench http://office:8000 --remote-key ... --vs-key=...'
    """
    shown: list[str] = []
    for word in arguments:
        name, equals, _ = word.partition("=")
        if shown and shown[-1] in SECRET:
            shown.append(HIDDEN)
        else:
            shown.append(name + equals + HIDDEN if equals and name in SECRET else word)
    return shlex.join(["penjing", *shown])
