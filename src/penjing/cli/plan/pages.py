"""The page of a plan, written to a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from penjing import __version__
from penjing.cli import talk
from penjing.cli.command import command
from penjing.cli.plan.subject import Subject
from penjing.errors import InputError
from penjing.files import write_whole
from penjing.language import current
from penjing.plan.answer import Answer
from penjing.plan.bill import Bill
from penjing.plan.report.frame import About
from penjing.plan.report.page import page
from penjing.plan.said import Said, said

ENDINGS = (".html", ".htm")


class NotAPage(InputError):
    """Facts: `path`."""

    template = "{path} would be a page, so its name must end in .html."
    hint = "For programs there is --json."
    code = "not_a_page"


def require_page(path: Path) -> None:
    """Raises NotAPage."""
    if path.suffix.lower() not in ENDINGS:
        raise NotAPage(path=str(path))


def write(path: Path, subject: Subject, answer: Answer, bill: Bill | None) -> None:
    """Whole or not at all. Raises DiskFull."""
    about = About(
        title=subject.title,
        name=subject.name,
        command=command(sys.argv[1:]),
        when=datetime.now().astimezone().isoformat(" ", "minutes"),
        version=__version__,
        facts=tuple(facts(subject)),
    )
    write_whole(path, page(about, answer, bill, current()).encode())
    talk.note("Written: {path}", path=str(path))


def facts(subject: Subject) -> Iterator[tuple[Said, str]]:
    """The model's own."""
    model = subject.model
    yield said("model"), subject.name
    yield said("architecture"), f"{model.architecture}, {model.layers} × {model.embedding}"
    yield said("parameters"), f"{model.parameters:,}"
    yield said("trained context"), f"{model.context:,}"
    if subject.licence:
        yield said("licence"), subject.licence
