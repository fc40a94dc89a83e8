"""What `penjing bench MODEL --profile FILE` does: one profile, as a table on the terminal and as files.

Does not know: how it is measured.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.table import print_rows
from penjing.errors import InputError
from penjing.files import expanded, write_whole
from penjing.language import say

if TYPE_CHECKING:
    from penjing.operate.measure.profile.phase import Part, Phase, Profile

FORMS = (".svg", ".json", ".md")
USELESS = (
    "vs",
    "vs_key",
    "vs_model",
    "concurrency",
    "rate",
    "requests",
    "rounds",
    "shared_prompt",
    "slo",
    "seed",
    "cold",
    "output",
)
"""Options of a bench that a profile has no use for."""
PROMPT = 512
SHOWN = 12
"""Operators of a phase on the terminal; files have all."""
NARROW = 72
"""Columns of a terminal below which types and calls are left to the files."""


class ProfileForm(InputError):
    """Facts: `path`."""

    template = "What of a profile is to be written into {path} is not clear from its name."
    hint = "Let it end in .svg (flame graph), .json (for speedscope.app) or .md (table)."
    code = "profile_form"


class NotInProfile(InputError):
    """Facts: `option`."""

    template = "{option} says nothing to --profile, which looks at one prompt and one answer."
    hint = "Leave {option} out, or --profile."
    code = "not_in_profile"


class OneLength(InputError):
    """Facts: `option`."""

    template = "--profile takes one length, and {option} names several."
    hint = "Name one: {option} 512"
    code = "one_length"


def profiled(given: dict[str, Any]) -> None:
    """The door of `--profile`. Raises ProfileForm, NotInProfile, OneLength, NotHere, what `open_engine` and `profile`
    raise."""
    from penjing.cli.local import care
    from penjing.cli.model import NotHere, chosen, engine_options, open_engine
    from penjing.cli.progress import shown
    from penjing.operate.measure.profile.run import SECONDS, profile
    from penjing.operate.measure.wanted import Wanted
    from penjing.settings import load

    files = [place(expanded(path)) for path in given["profile"]]
    for name in USELESS:
        if given[name]:
            raise NotInProfile(option="--" + name.replace("_", "-"))
    wanted = load(Wanted, "bench", {name: given[name] for name in ("prompt", "output_tokens", "seconds")}).value
    prompt = length(wanted.prompt, "prompt", given["prompt"], PROMPT)
    output = length(wanted.output_tokens, "output_tokens", given["output_tokens"], max(wanted.output_tokens))
    model = chosen(given)
    if model.remote:
        raise NotHere(model=model.name)
    options = engine_options(given, parallel=1, max_context=-(-(prompt + output) // 256) * 256)
    opened = open_engine(model, options, care=care(given))
    assert opened.file is not None  # only URLs have none
    name = Path(model.name).stem if expanded(model.name).exists() else model.name
    with shown() as report:
        found = profile(
            opened.file, name, options, prompt=prompt, output=output, seconds=wanted.seconds or SECONDS, report=report
        )
    for path in files:
        write_whole(path, written(found, path.suffix.lower()).encode())
        talk.note("Written: {path}", path=path)
    if given["as_json"]:
        talk.data_json(document(found))
    elif given["markdown"]:
        talk.data(markdown(found).rstrip("\n"))
    else:
        show(found)


def place(path: Path) -> Path:
    """`path`, whose name says what it holds. Raises ProfileForm."""
    if path.suffix.lower() not in FORMS:
        raise ProfileForm(path=path)
    return path


def length(lengths: Sequence[int], name: str, given: object, usual: int) -> int:
    """The one length that was asked for; of a list in the settings the longest. Raises OneLength."""
    if given and len(lengths) > 1:
        raise OneLength(option="--" + name.replace("_", "-"))
    return max(lengths, default=usual)


def written(profile: Profile, form: str) -> str:
    """The text of a file of this form."""
    from penjing.operate.measure.profile.flame import flame
    from penjing.operate.measure.profile.speedscope import speedscope

    if form == ".svg":
        return flame(profile)
    if form == ".json":
        return json.dumps(speedscope(profile), ensure_ascii=False) + "\n"
    return markdown(profile)


def document(profile: Profile) -> dict[str, Any]:
    """Everything, as JSON can hold it; seconds, bytes, FLOPs."""
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(profile)
    for name, phase in profile.each():
        facts = {"total": phase.total, "accounted": phase.accounted, "slowed": phase.slowed}
        parts = {"groups": phase.groups(), "operators": phase.operators()}
        found[name] |= facts | msgspec.to_builtins(parts)
    return found


def show(profile: Profile) -> None:
    """Print for people."""
    from penjing.operate.measure.profile.words import about, remarks

    narrow = sys.stdout.isatty() and shutil.get_terminal_size((100, 24)).columns < NARROW
    for name, phase in profile.each():
        talk.data(talk.printable(about(name, phase)))
        print_rows([cells[:1] + cells[2:4] + cells[5:] if narrow else cells for cells in rows(phase)])
        talk.data("")
    for text in remarks(profile):
        talk.data(talk.printable(text))


def heads() -> tuple[str, ...]:
    """Of the columns."""
    return tuple(map(say, ("part", "types", "time", "share", "calls", "speed")))


def rows(phase: Phase, most: int = SHOWN) -> list[tuple[str, ...]]:
    """Groups, the longest first, each with those of its operators that are among the `most` longest."""
    shown = phase.operators()[:most]
    found = [heads()]
    for group in sorted(phase.groups(), key=lambda part: -part.seconds):
        found.append(row(phase, group))
        if sum(part.group == group.group for part in phase.operators()) > 1:
            found += [row(phase, part, "  ") for part in shown if part.group == group.group]
    return found


def row(phase: Phase, part: Part, indent: str = "") -> tuple[str, ...]:
    """One part."""
    from penjing.operate.measure.profile.words import milliseconds, named, rate

    share = f"{part.seconds / phase.plain * 100:.1f} %" if phase.plain else "-"
    name = indent + named(part.label) if indent else named(part.group)
    types = part.types if indent else ""
    speed = rate(part, bytes_first=phase.tokens == 1)
    return name, types, milliseconds(part.seconds), share, str(part.calls), speed


def markdown(profile: Profile) -> str:
    """A table for each phase, all operators in it."""
    from penjing.operate.measure.profile.words import about, remarks

    lines = []
    for name, phase in profile.each():
        head, *body = rows(phase, most=1 << 30)
        lines += [f"**{profile.model}**, {about(name, phase)}", ""]
        lines += ["| " + " | ".join(cells) + " |" for cells in (head, ("---",) * len(head), *map(_bold, body))]
        lines.append("")
    return "\n".join([*lines, *(f"- {text}" for text in remarks(profile))]) + "\n"


def _bold(cells: tuple[str, ...]) -> tuple[str, ...]:
    """Groups stand out."""
    return cells if cells[0].startswith(" ") else (f"**{cells[0]}**", *cells[1:])
