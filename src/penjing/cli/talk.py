"""How penjing speaks on a terminal: data to stdout, talk to stderr, every error in one form.

    error: what was wrong, and where
    next:  what to type

Does not know: any verb.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, TextIO

from penjing.language import say

if TYPE_CHECKING:
    from penjing.errors import PenjingError

RED, GREEN, YELLOW, PLAIN = "\033[31m", "\033[32m", "\033[33m", "\033[0m"
CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
WIDE_COLON = "\uff1a"
_quiet = False


def hush() -> None:
    """From now on only errors are said (`--quiet`)."""
    global _quiet
    _quiet = True


def quiet() -> bool:
    """Whether only errors are said."""
    return _quiet


def colours(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that wants colour (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, colour: str, stream: TextIO) -> str:
    """`text` in `colour` where `stream` shows colours."""
    return f"{colour}{text}{PLAIN}" if colours(stream) else text


def printable(text: str) -> str:
    """`text` without the control characters that could steer a terminal; a model's words are not to be trusted."""
    return text.translate(CONTROLS)


def note(template: str, /, **facts: object) -> None:
    """Say one line on stderr."""
    if not _quiet:
        print(printable(say(template, language=None, **facts)), file=sys.stderr, flush=True)


def warn(template: str, /, **facts: object) -> None:
    """Say one line on stderr that should be noticed."""
    if not _quiet:
        print(_headed("warning:", YELLOW, say(template, language=None, **facts)), file=sys.stderr, flush=True)


def data(text: str) -> None:
    """Print what was asked for on stdout."""
    print(text, flush=True)


def data_json(value: object) -> None:
    """Print what was asked for as one JSON document on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2), flush=True)


def complain(error: PenjingError) -> None:
    """Say what was wrong and what to type next, on stderr."""
    print(_headed("error:", RED, error.message()), file=sys.stderr)
    if advice := error.advice():
        print(_headed("next:", YELLOW, advice), file=sys.stderr)
    sys.stderr.flush()


def _headed(head: str, colour: str, text: str) -> str:
    """A line of talk; a Chinese colon brings its own space."""
    head = say(head)
    return f"{painted(head, colour, sys.stderr)}{'' if head.endswith(WIDE_COLON) else ' '}{printable(text)}"
