"""`penjing engine list` and `use`: the libraries of llama.cpp that are here, and which of them computes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.table import print_rows
from penjing.cli.verb import argument, option, verb
from penjing.language import say

if TYPE_CHECKING:
    from penjing.native.libraries import Library

IN_USE = "*"


@verb(
    "list",
    help="Show the libraries of llama.cpp that are here: prebuilt and compiled.",
    examples=(("penjing engine list", "Which are here? The one in use has a star."),),
)
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_libraries(as_json: bool) -> None:
    """The door."""
    from penjing.native import libraries

    known = (libraries.prebuilt(), *libraries.natives())
    if as_json:
        talk.data_json([document(each) for each in known])
        return
    heads = ("", say("LIBRARY"), say("MADE OF"), say("USES"), say("ANSWERS"), say("MEASURED"))
    print_rows([heads, *map(row, known)])
    if not any(each.native for each in known):
        talk.note("One for this very processor is made by: penjing engine build")


def row(library: Library) -> tuple[str, ...]:
    """A star where it is in use, the name, what it was made of, what it uses, how it agrees, how fast it was."""
    from penjing.native import libraries

    star = IN_USE if libraries.in_use().name == library.name else ""
    about = library.about
    if about is None:
        from penjing.cli.engine.measuring import kept

        return star, library.name, f"xllamacpp {library.version}", say("what most processors have"), "-", speed(kept())
    uses = ", ".join((*about.features, *about.backends))
    if not library.fits:
        uses = say("made for another processor: {cpu}", cpu=about.cpu)
    return star, library.name, f"{about.source} ({about.revision})", uses, agreement(library), speed(about.measured)


def agreement(library: Library) -> str:
    """How its answers compare with the prebuilt one's."""
    found = library.about.agreement if library.about else ()
    equal, answers = (sum(int(each[name]) for each in found) for name in ("equal", "answers"))
    if not found:
        return "-"
    if equal == answers:
        return say("the same words in all {answers} answers", answers=answers)
    worst = max(float(each["mean"]) for each in found)
    return say(
        "{equal} of {answers} answers word for word; KL {worst}",
        equal=equal,
        answers=answers,
        worst=f"{worst:.2g}",
    )


def speed(measured: dict[str, Any]) -> str:
    """As `penjing engine bench` kept it."""
    if not measured:
        return "-"
    return say(
        "{prefill} / {decode} tok/s ({model})",
        prefill=f"{measured['prefill']:.0f}",
        decode=f"{measured['decode']:.1f}",
        model=measured["model"],
    )


def document(library: Library) -> dict[str, Any]:
    """For programs."""
    from penjing.native import libraries

    return {
        "name": library.name,
        "path": str(library.path),
        "version": library.version,
        "in_use": libraries.in_use().name == library.name,
        "fits": library.fits,
        **(asdict(library.about) if library.about else {}),
    }


@verb(
    "use",
    help="Choose which library computes on this machine from now on.",
    examples=(
        ("penjing engine use native", "The newest that was compiled here."),
        ("penjing engine use prebuilt", "The one that came with penjing."),
    ),
)
@argument("name", metavar="NAME", required=True)
def use(name: str) -> None:
    """The door."""
    from penjing.native import libraries

    found = libraries.use(name)
    talk.note("{name} is in use from now on.", name=found.name)
    if found.native:
        talk.note("Servers and chats started from now on take penjing's scheduler with it.")
