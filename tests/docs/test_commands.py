"""Every command that READMEs and pages show is one that penjing takes: its verb, its options, their number of words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from penjing.cli.main import penjing
from penjing.cli.reference import every_command
from penjing.cli.verb import Verb
from penjing.errors import PenjingError

ROOT = Path(__file__).parents[2]
EVERY_PAGE = sorted((*ROOT.glob("README*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/*/*.md")))
PAGES = [page for page in EVERY_PAGE if page.name != "cli.md"]
"""But the one that is made of help pages."""
COMMAND = re.compile(r"(?:^|[|;&$=(])\s*(?:[A-Z_]+=\S+ )*penjing( [^|;&<>()]*)?(?=$|[|;&<>)])")
COMMENT = re.compile(r"(^|\s)#.*")


def code(page: Path) -> Iterator[str]:
    """Lines of code, continued ones joined: blocks between fences, and what is indented."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.S | re.M)
    indented = re.findall(r"^ {4}(.*)$", re.sub(r"^```\w*\n(.*?)^```", "", text, flags=re.S | re.M), re.M)
    for block in (*fenced, "\n".join(indented)):
        yield from (COMMENT.sub("", line) for line in block.replace("\\\n", " ").splitlines())


def commands(page: Path) -> list[list[str]]:
    """The words behind `penjing`."""
    lines = (line for line in code(page) if "penjing " in line)
    return [shlex.split(found[1] or "") for line in lines for found in COMMAND.finditer(line)]


def taken(words: list[str]) -> None:
    """Raises ClickException or PenjingError for what penjing would refuse before it does anything."""
    command: click.Command = penjing
    context = click.Context(penjing, info_name="penjing")
    while isinstance(command, click.Group) and words:
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    command.make_parser(context).parse_args(args=list(words))


def refused(words: list[str]) -> str:
    """Why; empty where it is taken."""
    try:
        taken(words)
    except (click.ClickException, PenjingError) as error:
        return f"penjing {shlex.join(words)}: {error}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_are_taken(page: Path) -> None:
    assert [why for words in commands(page) if (why := refused(words))] == []


def test_examples_of_help_pages_are_taken() -> None:
    verbs = [command for _, command in every_command() if isinstance(command, Verb)]
    lines = [line for verb in verbs for line, _ in verb.examples]
    found = [shlex.split(words[1] or "") for line in lines for words in COMMAND.finditer(line)]
    assert len(found) > 100
    assert [why for words in found if (why := refused(words))] == []


def test_they_are_found() -> None:
    assert ["chat", "-p", "What is quantization?"] in commands(ROOT / "README.md")
    assert sum(len(commands(page)) for page in PAGES) > 300
    assert "--prommpt" in refused(["chat", "--prommpt", "hello"])
