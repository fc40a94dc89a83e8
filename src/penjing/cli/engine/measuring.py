"""`penjing engine bench`: how fast each library computes a model, in turn, so that what else happens happens to all."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.table import print_rows
from penjing.cli.verb import argument, option, verb
from penjing.errors import SettingError
from penjing.language import say

if TYPE_CHECKING:
    from penjing.native.libraries import Library
    from penjing.progress import Report

PROMPT, SAID = 512, 48
ROUNDS = 3
COMMAND = (sys.executable, "-m", "penjing.native.trial")
PATIENCE = 600.0
KEPT = "prebuilt.json"
Figures = dict[str, dict[str, list[float]]]
"""Library to `prefills` and `decodes`, tokens a second, one for each round."""


@verb(
    "bench",
    help="Measure how fast each library computes a model, in turn.",
    examples=(
        ("penjing engine bench", "The built-in model."),
        ("penjing engine bench ./model.gguf --rounds 5", "A model of your own."),
    ),
)
@argument("model", metavar="[MODEL]")
@option("--bits", metavar="2|3|4|5|6|8|16|32", help="Quantize a checkpoint to so many bits a weight.")
@option("--threads", metavar="COUNT", help="Threads that compute; one for each physical core where not given.")
@option("--rounds", metavar="COUNT", help="How often each is measured; 3 where not given.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(**given: Any) -> None:
    """The door."""
    from penjing.cli.progress import shown
    from penjing.native import libraries
    from penjing.store.resolve import find

    rounds = _number(given, "rounds") or ROUNDS
    bits = _number(given, "bits")
    found = find(given["model"] or "guide", bits=bits)
    known = [each for each in (libraries.prebuilt(), *libraries.natives()) if each.fits]
    with shown() as report:
        path = found.make(report)
        figures = measured(known, path, _threads(given), rounds, report)
    kept_with(known, figures, found.name)
    if given["as_json"]:
        talk.data_json({"model": found.name, "prompt": PROMPT, "said": SAID, "libraries": figures})
    else:
        _show(figures)


def _number(given: dict[str, Any], name: str) -> int | None:
    text = given[name]
    if text is not None and not (text.isdigit() and int(text) > 0):
        raise SettingError(name=name, value=text, wanted="a whole number of at least 1", source=f"--{name}")
    return int(text) if text else None


def _threads(given: dict[str, Any]) -> int:
    from penjing.probe import machine

    return _number(given, "threads") or machine.read(gpus=False).performance_cores


def measured(known: list[Library], path: Path, threads: int, rounds: int, report: Report) -> Figures:
    """Each library in its turn; who begins changes with each round. Raises EngineStartFailed."""
    from penjing.errors import EngineStartFailed
    from penjing.probe import apart
    from penjing.progress import Progress

    figures: Figures = {each.name: {"prefills": [], "decodes": []} for each in known}
    for turn in range(rounds):
        order = known if turn % 2 == 0 else known[::-1]
        for place, library in enumerate(order):
            report(Progress((turn * len(known) + place) / (rounds * len(known)), "measuring"))
            what = {"library": str(library.path), "version": library.version, "model": str(path), "kind": "speed"}
            asked = {**what, "threads": threads, "prompt": PROMPT, "said": SAID, "rounds": 1}
            found = apart.run(
                COMMAND,
                given=json.dumps(asked).encode() + b"\n",
                patience=PATIENCE,
                report=report,
                failed=lambda detail: EngineStartFailed(model=path.name, detail=detail),
            )
            figures[library.name]["prefills"].append(found["prefill"])
            figures[library.name]["decodes"].append(found["decode"])
    return figures


def _show(figures: Figures) -> None:
    heads = (say("LIBRARY"), say("READING, TOK/S"), say("SAYING, TOK/S"), say("AGAINST PREBUILT"))
    base = next(iter(figures.values()))
    rows = []
    for name, found in figures.items():
        cells = [_spread(found[each]) for each in ("prefills", "decodes")]
        times = [median(found[each]) / median(base[each]) for each in ("prefills", "decodes")]
        rows.append((name, *cells, f"{times[0]:.2f}× / {times[1]:.2f}×"))
    print_rows([heads, *rows])


def _spread(values: list[float]) -> str:
    return f"{median(values):.1f} ({min(values):.1f} ... {max(values):.1f})"


def kept_with(known: list[Library], figures: Figures, model: str) -> None:
    """Keep what was measured beside each library, for the list."""
    from penjing.files import write_whole
    from penjing.native import libraries

    for library in known:
        found = figures[library.name]
        told = {"model": model, "prefill": median(found["prefills"]), "decode": median(found["decodes"])}
        if library.about is not None:
            libraries.write(library.path.parent, replace(library.about, measured=told))
        else:
            write_whole(libraries.folder() / KEPT, json.dumps({"version": library.version, **told}).encode())


def kept() -> dict[str, Any]:
    """What was measured of the prebuilt library of this version; nothing where it was not."""
    from penjing.native import libraries

    try:
        found = json.loads((libraries.folder() / KEPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("version") == libraries.wheel_version() else {}
