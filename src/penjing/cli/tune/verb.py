"""The verb `tune`: which engine, library, threads, batch and cache type are quickest for a model on this machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from penjing.cli import forms, talk
from penjing.cli.forms import form_options
from penjing.cli.model import NotHere, model_options
from penjing.cli.verb import option, verb
from penjing.errors import EngineStartFailed, SettingError
from penjing.settings import one_of

if TYPE_CHECKING:
    from pathlib import Path

    from penjing.cli.local import Care
    from penjing.engines.engine import Engine
    from penjing.engines.llamacpp import EngineOptions
    from penjing.operate.tune.kept import Tuned
    from penjing.operate.tune.search import Search
    from penjing.operate.tune.trial import Tried
    from penjing.operate.tune.ways import Way
    from penjing.store.resolve import Found

LARGE = 2_000_000_000
"""Bytes of weights from which on shorter prompts and answers must do."""
CONTEXT, PARALLEL = 4096, 4
INTERRUPTED = 130
EXAMPLES = (
    ("penjing tune", "The built-in model, in under three minutes."),
    ("penjing tune ./model.gguf -o tuned.html", "A model of your own, with a page of pictures."),
    ("penjing tune ./model.gguf --for prefill", "For long documents: chats and servers of it then take that."),
    ("penjing tune ./model.gguf --show", "What was chosen, and why."),
    ("penjing tune ./model.gguf --forget", "Back to the usual way."),
)


@verb(
    "tune",
    help="Find out which engine and settings are quickest for a model on this machine, and use them from then on.",
    examples=EXAMPLES,
)
@model_options
@option("--for", "workload", metavar="chat|prefill|many", help="One workload that counts; all three where not given.")
@option("--seconds", metavar="SECONDS", help="How long to try; 170 where not given.")
@option("--show", is_flag=True, help="Show what was chosen, and try nothing.")
@option("--forget", is_flag=True, help="Forget what was chosen.")
@form_options
def tune(**given: Any) -> int:
    """The door; the exit status."""
    from penjing.cli import local
    from penjing.cli.model import chosen, engine_options, require_known_sections
    from penjing.cli.progress import shown
    from penjing.operate.tune.search import WORKLOADS
    from penjing.probe import machine
    from penjing.store.resolve import find

    require_known_sections()
    into = forms.files(given["output"])
    wanted = given["workload"] or ""
    if wanted and wanted not in WORKLOADS:
        raise SettingError(name="for", value=wanted, wanted=one_of(WORKLOADS), source="--for")
    seconds = _seconds(given["seconds"])
    which = chosen(given)
    if which.remote:
        raise NotHere(model=which.name)
    care = local.care(given)
    found = find(which.name, bits=which.bits, allow=care.allow)
    with shown() as report:
        path = found.make(report)
    here = machine.read()
    if given["forget"]:
        return _forget(found, path, here)
    if given["show"]:
        known = _known(found, path, here)
    else:
        options = engine_options(given, max_context=CONTEXT, parallel=PARALLEL)
        known = _tuned(found, path, options, care, (wanted,) if wanted else tuple(WORKLOADS), seconds)
    from penjing.cli.tune.shown import deliver

    deliver(known, into, given)
    return 0


def _seconds(text: str | None) -> float:
    from penjing.operate.tune.search import SECONDS

    if text is None:
        return SECONDS
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found <= 86_400:
        raise SettingError(name="seconds", value=text, wanted="a number above 0", source="--seconds")
    return found


def _forget(found: Found, path: Path, here: Any) -> int:
    from penjing.operate.tune import kept

    if kept.forget(here, (path, found.source)):
        talk.note("Forgotten: {model} is computed in the usual way again.", model=found.name)
    else:
        talk.note("Nothing was chosen for {model} on this machine.", model=found.name)
    return 0


def _known(found: Found, path: Path, here: Any) -> Tuned:
    from penjing.cli.tune.faults import NotTuned
    from penjing.operate.tune import kept

    known = kept.read(here, path)
    if known is None:
        raise NotTuned(model=found.name)
    return known


def _tuned(
    found: Found, path: Path, options: EngineOptions, care: Care, wanted: tuple[str, ...], seconds: float
) -> Tuned:
    """Try, keep what was chosen. Raises EngineStartFailed where nothing works at all; stopped by Ctrl-C, nothing is
    kept."""
    from penjing.cli.progress import shown
    from penjing.operate.tune.search import Search
    from penjing.operate.tune.trial import Size, Trials
    from penjing.probe import machine, model

    facts, here = model.read(path), machine.read()
    small = Size() if facts.bytes < LARGE else Size(prompt=96, said=16)
    with shown() as report:

        def make(way: Way) -> Engine:
            return _engine(found, path, way.over(options), care)

        search = Search(facts, here, options, Trials(make, small), report, _tell, wanted, seconds)
        from penjing.operate.tune import ways

        first = ways.engines(facts, options, checkpoint=found.source.is_dir())
        if not first:
            raise SettingError(
                name="engine", value=options.engine, wanted="one that can compute this model here", source="--engine"
            )
        asyncio.run(search.run(first))
    if search.best(wanted[0]) is None:
        raise EngineStartFailed(model=found.name, detail=search.tried[0].error)
    untried = [one.way.computes for one in search.tried[: len(first)] if not (one.rounds or one.error)]
    if untried:
        talk.warn(
            "Time was over before these were tried: {ways}. Try again when the machine is quiet, or with --seconds.",
            ways=", ".join(untried),
        )
    return _kept(found, path, search, wanted)


def _engine(found: Found, path: Path, options: EngineOptions, care: Care) -> Engine:
    """Without whoever starts it again: what ends here is not quick."""
    from penjing.cli import local

    supervised = local.engine(found, found.name, options, care, path, workload="")
    made: Engine = supervised.engine
    return made


def _tell(one: Tried) -> None:
    label = ", ".join(filter(None, (one.way.computes, one.way.turned)))
    if one.error:
        talk.note("{label}: {detail}", label=label, detail=one.error)
    elif not one.good:
        talk.note(
            "{label}: left out, it goes on otherwise than the usual way ({same} of the words are the same)",
            label=label,
            same=f"{one.same:.0%}",
        )
    else:
        last = one.rounds[-1]
        talk.note(
            "{label}: reads {prefill} tok/s, answers {decode} tok/s, four at once {many} tok/s",
            label=label,
            prefill=f"{last.prefill:.0f}",
            decode=f"{last.decode:.1f}",
            many=f"{last.many:.1f}",
        )


def _kept(found: Found, path: Path, search: Search, wanted: tuple[str, ...]) -> Tuned:
    import time
    from datetime import datetime, timezone

    from penjing.operate.tune import kept

    best = {workload: one.way for workload in wanted if (one := search.best(workload))}
    known = kept.Tuned(
        model=found.name,
        when=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - search.begun, 1),
        chosen=best,
        tried=tuple(kept.figures(one) for one in search.tried if one.rounds or one.error),
        wanted=wanted[0] if len(wanted) == 1 else "",
        machine=f"{search.machine.cpu}, {search.machine.logical_cores}",
    )
    kept.keep(known, search.machine, (path, found.source))
    return known
