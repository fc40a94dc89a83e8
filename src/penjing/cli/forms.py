"""What was measured as JSON, Markdown or a page: printed, or written into files whose names tell the form.

Does not know: what was measured.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from penjing.cli import talk
from penjing.cli.verb import option
from penjing.errors import InputError
from penjing.files import expanded, write_whole

if TYPE_CHECKING:
    from penjing.plan.report.frame import About

FORMS = {".json": "json", ".md": "markdown", ".html": "page"}


class FormUnknown(InputError):
    """Facts: `path`."""

    template = "What is to be written into {path} is not clear from its name."
    hint = "Let it end in .json, .md or .html."
    code = "form_unknown"


class Forms(NamedTuple):
    """How to put it: `document` as what JSON holds, `markdown` and `page` as text."""

    document: Callable[[], object]
    markdown: Callable[[], str]
    page: Callable[[], str]

    def text(self, kind: str) -> str:
        """The content of a file of that kind (a value of FORMS)."""
        if kind == "json":
            return json.dumps(self.document(), ensure_ascii=False, indent=2) + "\n"
        return self.page() if kind == "page" else self.markdown()


def form_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb --json, --markdown and --output."""
    output = option(
        "--output", "-o", metavar="FILE", multiple=True, help="Write it to a .json, .md or .html; may be given again."
    )
    markdown = option("--markdown", is_flag=True, help="Print a Markdown table.")
    return option("--json", "as_json", is_flag=True, help="Print JSON.")(markdown(output(verb)))


def files(names: Iterable[str]) -> list[tuple[Path, str]]:
    """Each file of --output with its kind, to be called before anything is measured. Raises FormUnknown."""
    return [(path, _kind(path)) for path in map(expanded, names)]


def deliver(forms: Forms, into: Iterable[tuple[Path, str]], given: dict[str, Any], show: Callable[[], None]) -> None:
    """Write the files, then print what was asked for; `show` puts it on a terminal."""
    for path, kind in into:
        write_whole(path, forms.text(kind).encode())
        talk.note("Written: {path}", path=path)
    if given["as_json"] or given["markdown"]:
        talk.data(forms.text("json" if given["as_json"] else "markdown").rstrip("\n"))
    else:
        show()


def about(title: str, when: str) -> About:
    """The head of a page: `title` and when it was measured (ISO 8601), with the command that was typed."""
    import penjing
    from penjing.cli.command import command
    from penjing.plan.report.frame import About

    return About(title, title, command(sys.argv[1:]), when, penjing.__version__)


def _kind(path: Path) -> str:
    if path.suffix.lower() not in FORMS:
        raise FormUnknown(path=path)
    return FORMS[path.suffix.lower()]
