"""One attempt at training for an output: never beside one that is not over, its states kept until the output is there.

    OUTPUT.training/    the states of a run that is not over: what --resume goes on from; removed at the end

Does not know: what is trained, on what, how the output is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from penjing.progress import Report
from penjing.shrink import work
from penjing.shrink.checkpoints import Checkpoints
from penjing.shrink.finetune.faults import Unfinished
from penjing.shrink.finetune.turns import Counts
from penjing.shrink.output import require_free
from penjing.shrink.training import Outcome, Training

STATES = ".training"


def states(output: Path) -> Path:
    """Where a run for `output` keeps its states."""
    return output.with_name(output.name + STATES)


def begun(output: Path) -> bool:
    """Whether a training for `output` has kept a state and is not over."""
    return bool(Checkpoints(states(output)).all())


def require_new(output: Path, resume: bool | Path) -> Path:
    """The folder of states for `output`. Raises OutputTaken, and Unfinished where there are states that nobody asked to
    go on from."""
    require_free(output)
    if not resume and begun(output):
        raise Unfinished(path=str(states(output)), output=str(output))
    return states(output)


@contextmanager
def under_way(folder: Path) -> Iterator[None]:
    """The states in `folder` are this process's alone, and gone when the block ends well, or failed before it had kept
    one. Raises AlreadyRunning."""
    try:
        with work.opened(folder):
            yield
    except work.AlreadyRunning:
        raise
    except BaseException:
        if not Checkpoints(folder).all():
            work.remove(folder)
        raise
    work.remove(folder)


def run(training: Training, resume: bool | Path, report: Report) -> Outcome:
    """Train to the end, from the last state (True) or the one named. Raises NothingToResume, AnotherRun, LossNotFinite,
    DiskFull."""
    if resume:
        training.resume(resume if isinstance(resume, Path) else None)
    return training.run(report)


def held_out(training: Training) -> float | None:
    """The loss on what is held out as the model is now, in nats a token; None where nothing is."""
    return training.look() if training.heldout else None


def identity(options: object, names: tuple[str, ...], data: Mapping[str, str], **models: str) -> dict[str, str]:
    """What a run that goes on must share: these options, what it learns from (names and SHA-256), digests of models."""
    facts = {name: str(getattr(options, name)) for name in names}
    told = " ".join(f"{name}:{digest[:16]}" for name, digest in data.items())
    return {**facts, **{name: digest[:16] for name, digest in models.items()}, "data": told}


def found(outcome: Outcome, counts: Counts, **more: Any) -> dict[str, Any]:
    """What a manifest says of a run; losses in nats a token."""
    state = outcome.state
    return {
        "ended": outcome.why,
        "steps": state.step,
        "chosen": outcome.chosen,
        "loss": state.losses[-1] if state.losses else None,
        **more,
        "seconds": round(state.seconds, 1),
        "examples": asdict(counts),
    }
