"""Writes the pages that are generated: `python -m penjing.cli.reference docs` fills docs/en and docs/zh.

    cli.md       the help of every verb, as it is printed
    settings.md  every setting: table, field, variable, default, meaning
    errors.md    every error: its code, HTTP status, exit status and sentence

A test compares them with what this would write.
"""

from __future__ import annotations

import dataclasses
import os
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click

import penjing as package
from penjing.cli.main import VERBS, penjing
from penjing.cli.verb import Option
from penjing.errors import PenjingError
from penjing.language import LANGUAGES, say
from penjing.settings import wanted

WIDTH = 100
NOTICE = "<!-- Written by `python -m penjing.cli.reference docs`; edit the code instead. -->\n"


def pages(language: str) -> dict[str, str]:
    """File name to content of the generated pages in one language."""
    with speaking(language):
        return {"cli.md": commands(), "settings.md": settings(), "errors.md": errors()}


def commands() -> str:
    """The help of `penjing` and of each verb."""
    parts = [NOTICE, f"# {say('Commands')}\n", "```text\n" + help_of(penjing, "penjing") + "\n```\n"]
    for path, command in every_command():
        parts.append(f"## {path}\n")
        parts.append("```text\n" + help_of(command, path) + "\n```\n")
    return "\n".join(parts)


def every_command() -> Iterator[tuple[str, click.Command]]:
    """What is typed, and the command: each verb, followed by the verbs of its own."""
    for name in VERBS:
        command = verb(name)
        yield f"penjing {name}", command
        for inner, each in getattr(command, "commands", {}).items():
            yield f"penjing {name} {inner}", each


def settings() -> str:
    """One table a section."""
    from penjing.settings import PROJECT, SYSTEM, USER

    intro = say(
        "A value is taken from the first of these that has it: the command line, the environment, ./{project}, "
        "PENJING_HOME/{user}, {system}. A name that is not listed here is an error.",
        project=PROJECT,
        user=USER,
        system=SYSTEM,
    )
    parts = [NOTICE, f"# {say('Settings')}\n", intro + "\n"]
    for section, kind in kinds().items():
        heads = (say("field"), say("variable"), say("value"), say("default"), say("meaning"))
        parts.append(f"## [{section}.NAME]\n" if section in TABLES else f"## [{section}]\n")
        if section in TABLES:
            parts.append(
                say("One table for each; for a model on this machine the fields of [engine] may stand beside.") + "\n"
            )
        if section in policies():
            parts.append(say("A policy: [what it does]({page}).", page="policies.md") + "\n")
        parts.append(row(heads) + "\n" + row(["---"] * len(heads)))
        parts.append("\n".join(row(cells) for cells in fields_of(section, kind)) + "\n")
    return "\n".join(parts).replace("|\n\n|", "|\n|")


def errors() -> str:
    """All errors of all stations, by their exit status."""
    intro = say(
        "On the command line an error is two lines on stderr, what was wrong and what to type next, and an exit "
        "status; over HTTP it is OpenAI's error object with `code`, in English. Exit status 130 is Ctrl-C."
    )
    heads = (say("code"), "HTTP", say("exit status"), say("sentence"), say("what to do"))
    cells = sorted(
        {tuple(error_cells(kind)) for kind in every_error() if kind.template != "{detail}"},
        key=lambda cells: (cells[2], cells),
    )
    return "\n".join((NOTICE, f"# {say('Errors')}\n", intro + "\n", row(heads), row(["---"] * 5), *map(row, cells), ""))


EXTRAS = ("torch",)
"""Packages that a module may be made of the classes of; such a module holds no error of its own."""


def every_error() -> list[type[PenjingError]]:
    """All error classes of all stations."""
    for module in pkgutil.walk_packages(package.__path__, "penjing."):
        if not module.name.endswith(("__main__", ".worker")):
            try:
                import_module(module.name)
            except ModuleNotFoundError as error:
                if error.name not in EXTRAS:
                    raise
    found = [PenjingError]
    for kind in found:
        found += kind.__subclasses__()
    return [kind for kind in found if kind.__module__.startswith("penjing.")]


def error_cells(kind: type[PenjingError]) -> list[str]:
    """One row."""
    texts = (say(text).replace("|", "\\|") for text in (kind.template, kind.hint))
    return [f"`{kind.code}`", str(kind.status), str(kind.exit_code), *texts]


TABLES = ("engines",)
"""Sections that hold one table for each of several things."""


def policies() -> dict[str, type[Any]]:
    """The policies that have something to set."""
    from penjing.gateway.policies.order import ORDER

    return {step.name: step.options for step in ORDER if dataclasses.fields(step.options)}


def sections() -> dict[str, type[Any]]:
    """As `kinds`, those that are one table."""
    return {section: kind for section, kind in kinds().items() if section not in TABLES}


def kinds() -> dict[str, type[Any]]:
    """Section to the dataclass it fills."""
    from penjing.cli.chat.session import ChatSettings
    from penjing.cli.engines import Entry
    from penjing.cli.model import Chosen
    from penjing.cli.phone import PhoneSettings
    from penjing.cli.plan.figures import PlanSettings
    from penjing.cli.serve import ServeSettings
    from penjing.engines.llamacpp import EngineOptions
    from penjing.fleet.settings import HubSettings
    from penjing.operate.measure.wanted import Wanted
    from penjing.operate.residency import ResidencyOptions
    from penjing.operate.upgrade import UpgradeOptions
    from penjing.shrink.distill.options import Distilling
    from penjing.shrink.evaluate.wanted import Wanted as Evaluation
    from penjing.shrink.finetune.options import Tuning
    from penjing.shrink.prune.prune import PruneOptions
    from penjing.shrink.qat.options import Refining
    from penjing.store.seal.keys import SealSettings
    from penjing.store.trust.admit import TrustSettings

    return {
        "model": Chosen,
        "engine": EngineOptions,
        "engines": Entry,
        "serve": ServeSettings,
        "phone": PhoneSettings,
        "chat": ChatSettings,
        "bench": Wanted,
        "plan": PlanSettings,
        "evaluate": Evaluation,
        "finetune": Tuning,
        "prune": PruneOptions,
        "distill": Distilling,
        "quantize": Refining,
        "memory": ResidencyOptions,
        "upgrade": UpgradeOptions,
        "trust": TrustSettings,
        "seal": SealSettings,
        "hub": HubSettings,
        **policies(),
    }


def fields_of(section: str, kind: type[Any]) -> Iterator[list[str]]:
    """The cells of each field."""
    from typing import get_type_hints

    from penjing.cli.engines import MEANINGS
    from penjing.cli.meanings import OPERATE, POLICIES

    hints = get_type_hints(kind, include_extras=True)
    own = [section] if section in VERBS else []  # its own verb's word counts, whatever others mean by that name
    options = [option for name in (*VERBS, *own) for option in verb(name).params if is_option(option)]
    meanings = {option.name: option.help or "" for option in options}
    meanings["name"] = "A name, a .gguf file, a checkpoint folder, or a URL."
    meanings["require"] = "Whether models must be signed; where not given, those from a hub."
    meanings["image_hosts"] = "Hosts that pictures may be fetched from; * for all, none where not given."
    meanings |= OPERATE.get(section, {})
    if section in policies():
        meanings = POLICIES[section]
    if section in TABLES:
        meanings |= MEANINGS
    for field in dataclasses.fields(kind):
        default = "" if field.default in (None, "", (), dataclasses.MISSING) else f"`{str(field.default).lower()}`"
        variable = "" if section in TABLES else f"`PENJING_{section.upper()}_{field.name.upper()}`"
        meaning = say(meanings.get(field.name, ""))
        yield [f"`{field.name}`", variable, wanted(hints[field.name]), default, meaning.replace("|", "\\|")]


def is_option(parameter: click.Parameter) -> bool:
    return isinstance(parameter, Option)


def row(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"


def verb(name: str) -> click.Command:
    """The command of one verb."""
    found = penjing.get_command(click.Context(penjing), name)
    assert found is not None
    return found


def help_of(command: click.Command, path: str) -> str:
    """Its help page at a fixed width."""
    return command.get_help(click.Context(command, info_name=path, terminal_width=WIDTH)).rstrip()


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Say everything in `language` until the block ends."""
    before = os.environ.get("PENJING_LANGUAGE")
    os.environ["PENJING_LANGUAGE"] = language
    try:
        yield
    finally:
        os.environ.pop("PENJING_LANGUAGE")
        if before is not None:
            os.environ["PENJING_LANGUAGE"] = before


def main(docs: str) -> None:
    """Write all pages under `docs`."""
    for language in LANGUAGES:
        for name, content in pages(language).items():
            (Path(docs) / language / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
