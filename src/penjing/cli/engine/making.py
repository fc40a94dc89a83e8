"""`penjing engine build`: llama.cpp compiled for this processor, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.verb import option, verb
from penjing.errors import SettingError
from penjing.files import expanded
from penjing.language import say

if TYPE_CHECKING:
    from penjing.engines.building.build import Wanted
    from penjing.native.libraries import Library


@verb(
    "build",
    help="Compile llama.cpp for this very processor, and check that it answers as the prebuilt library does.",
    examples=(
        ("penjing engine build", "Some minutes; Ctrl-C stops it, the next time goes on from there."),
        ("penjing engine build --source llama_cpp_python-0.3.36.tar.gz", "On a machine without a network."),
        ("penjing engine build --use", "And use it from then on."),
    ),
)
@option("--source", metavar="FILE", help="The source, fetched on another machine.")
@option("--jobs", metavar="COUNT", help="Compilers at once; as many as cores and memory allow where not given.")
@option("--only-cpu", is_flag=True, help="Leave GPUs out, also where their tools are here.")
@option("--again", is_flag=True, help="Make it again, also where it is here.")
@option("--use", "and_use", is_flag=True, help="Use it from now on.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def build(**given: Any) -> None:
    """The door."""
    from penjing.cli.progress import shown
    from penjing.engines.building import build as building
    from penjing.native import libraries

    wanted = _wanted(given)
    found = None if given["again"] else building.existing(wanted)
    if found is None:
        talk.note("Compiling takes some minutes. Everything that is said is in {log}.", log=building.log())
        with shown() as report:
            found = building.build(wanted, report)
    elif not given["as_json"]:
        talk.note("{name} is here already; --again makes it again.", name=found.name)
    if given["and_use"]:
        libraries.use(found.name)
    _tell(found, as_json=given["as_json"])


def _wanted(given: dict[str, Any]) -> Wanted:
    from penjing.engines.building.build import Wanted

    text = given["jobs"]
    if text is not None and not (text.isdigit() and int(text) > 0):
        raise SettingError(name="jobs", value=text, wanted="a whole number of at least 1", source="--jobs")
    source: Path | None = expanded(given["source"]) if given["source"] else None
    return Wanted(source, int(text) if text else None, () if given["only_cpu"] else None)


def _tell(found: Library, *, as_json: bool) -> None:
    from penjing.cli.engine.listing import document, row
    from penjing.native import libraries

    if as_json:
        talk.data_json(document(found))
        return
    for line in row(found)[1:]:
        talk.data(line)
    if libraries.in_use().name != found.name:
        talk.note("Measure it with: penjing engine bench. Use it with: penjing engine use {name}", name=found.name)
    else:
        talk.data(say("It is in use from now on."))
