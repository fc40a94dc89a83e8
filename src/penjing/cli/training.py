"""What verbs that train have in common: options, the word about a licence, a bar that tells how to go on.

Does not know: what is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from penjing.cli import talk
from penjing.cli.usage import UsageFault
from penjing.cli.verb import option
from penjing.errors import DiskFull

if TYPE_CHECKING:
    from pathlib import Path

    from penjing.progress import Report

F = TypeVar("F", bound=Callable[..., Any])
OPTIONS = (
    option("--steps", metavar="COUNT", help="Steps at most; 3000 where not given, 0 for no limit but --minutes."),
    option("--minutes", metavar="COUNT", help="Minutes of computing at most."),
    option("--batch", metavar="COUNT", help="Examples a step; 8 where not given."),
    option("--accumulate", metavar="COUNT", help="Compute a step in so many passes, to save memory."),
    option("--length", metavar="TOKENS", help="Longer examples are cut; 2048 where not given."),
    option("--pack/--no-pack", default=None, help="Short examples side by side in one row, unseen by each other."),
    option("--learn", metavar="WHAT", help="answers: only what the assistant says; all: the whole conversation."),
    option("--heldout", metavar="FILE", help="Examples to measure on; --held-out of the others where not given."),
    option("--held-out", metavar="SHARE", help="Of the examples, kept to measure on; 0.05 where not given."),
    option("--patience", metavar="COUNT", help="Stop after so many measurements without a better one; 0 for never."),
    option("--look-every", metavar="STEPS", help="How often it is measured; 100 where not given."),
    option("--save-every", metavar="STEPS", help="How often the state is kept; 200 where not given."),
    option("--keep", metavar="COUNT", help="How many of the newest states stay; 2 where not given."),
    option("--warmup", metavar="SHARE", help="Of the run, until the rate is at its peak; 0.03 where not given."),
    option("--decay", metavar="NAME", help="How the rate falls: cosine, linear or constant."),
    option("--optimizer", metavar="NAME", help="adamw, or muon: Muon for matrices, AdamW for the rest."),
    option("--weight-decay", metavar="NUMBER", help="Pull weights towards 0 by this share of the rate."),
    option("--clip", metavar="NUMBER", help="Longest gradient of a step; 1 where not given."),
    option("--seed", metavar="NUMBER", help="The same seed, the same run."),
    option("--precision", metavar="NAME", help="f32, bf16, or auto: bf16 where that is faster."),
    option("--device", metavar="NAME", help="auto, cpu, cuda or mps."),
    option("--resume", is_flag=True, help="Go on from the last state of a run that was stopped."),
    option("--resume-from", metavar="FILE", help="Go on from this state."),
)
"""Of `finetune` and `distill`: fields of `shrink.finetune.options.Tuning`, and what to go on from."""


def regime(verb: F) -> F:
    """Give `verb` the options of a training."""
    for each in reversed(OPTIONS):
        verb = each(verb)
    return verb


def require(given: dict[str, Any], path: str, *names: str) -> None:
    """Raises UsageFault for the first option of `names` that was not given to the verb `path`."""
    for name in names:
        if not given[name]:
            raise UsageFault(detail=f"--{name} is missing.", path=path)


def resumed(given: dict[str, Any]) -> bool | Path:
    """What to go on from: a state, the last one (True), none."""
    from penjing.files import expanded

    return expanded(given["resume_from"]) if given["resume_from"] else bool(given["resume"])


def warn_of_licence(name: str, model: Path) -> None:
    """Say so where the licence of the checkpoint folder or GGUF file `model`, called `name`, forbids passing on what is
    made of it."""
    from penjing.probe import model as probe
    from penjing.shrink import lineage

    licence = lineage.licence(model)
    if not licence and model.is_file():
        licence = str(probe.read(model).metadata.get("general.license", ""))
    if lineage.forbids_derivatives(licence):
        talk.warn(
            "The licence of {model} ({licence}) forbids passing on changed versions.", model=name, licence=licence
        )


@contextmanager
def going_on(output: Path) -> Iterator[Report]:
    """A bar. Who stops a training for `output` that has kept a state is told how to go on."""
    from penjing.cli.progress import shown
    from penjing.shrink.finetune.attempt import begun

    try:
        with shown() as report:
            yield report
    except (KeyboardInterrupt, DiskFull):
        if begun(output):
            talk.note("Stopped. What was learned is kept; go on with the same command and --resume.")
        raise
