"""Small steps that do what they say: they cut, sharpen and look at one file of bytes in a tiny checkpoint. What was
done, and how often, stands in what they found, so that tests see what a resumed run did again."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from penjing.files import write_whole
from penjing.progress import Progress
from penjing.shrink.output import whole_folder
from penjing.shrink.steps.kind import Kind, Loss, Made, Named, Outlook, Pace, Work
from tiny_checkpoint import write_checkpoint

WEIGHTS = "weights.bin"


@dataclass(frozen=True)
class Cut:
    """`ratio` of the bytes go."""

    ratio: Annotated[float, msgspec.Meta(ge=0.0, le=0.9)]
    seed: int = 0
    texts: Path | None = None
    more: tuple[Named, ...] = ()


@dataclass(frozen=True)
class Sharpen:
    """`steps` times every byte is raised by one; each is a checkpoint."""

    steps: Annotated[int, msgspec.Meta(ge=1)] = 4
    way: Literal["up", "down"] = "up"
    names: tuple[str, ...] = ()
    weights: dict[str, float] | None = None
    rest: float = 0.0


@dataclass(frozen=True)
class Look:
    """Counts."""

    note: str = ""


def changed(work: Work, weights: bytes) -> Path:
    """The model as it was, with other weights."""
    with whole_folder(work.output) as folder:
        shutil.copytree(work.model, folder, dirs_exist_ok=True)
        (folder / WEIGHTS).write_bytes(weights)
    return work.output


def cut(work: Work, options: Cut) -> Made:
    content = (work.model / WEIGHTS).read_bytes()
    work.report(Progress(0.5, "cutting"))
    made = changed(work, content[: round(len(content) * (1 - options.ratio))])
    return Made(made, {"removed": options.ratio})


def sharpen(work: Work, options: Sharpen) -> Made:
    state = work.scratch / "state"
    done, content = 0, (work.model / WEIGHTS).read_bytes()
    if state.is_file():
        done, content = state.read_bytes()[0], state.read_bytes()[1:]
    for step in range(done, options.steps):
        work.report(Progress(step / options.steps, "sharpening"))
        content = bytes((each + (1 if options.way == "up" else -1)) % 256 for each in content)
        with (work.scratch / "log").open("a") as log:
            log.write(f"{step}\n")
        write_whole(state, bytes([step + 1]) + content)
        time.sleep(options.rest)
    return Made(changed(work, content), {"log": (work.scratch / "log").read_text().split()})


def look(work: Work, options: Look) -> Made:
    return Made(work.model, {"size_bytes": (work.model / WEIGHTS).stat().st_size})


def foresee_cut(before: Outlook, options: Cut, pace: Pace) -> Outlook:
    size = round(before.bytes * (1 - options.ratio))
    time = pace.time("cut", before.bytes, "copy")
    return before.then(bytes=size, room=size, loss=None, effort=before.bytes, seconds=time)


def foresee_same(before: Outlook, options: object, pace: Pace) -> Outlook:
    more = Loss(0.1, 0.2, 0.3)
    return before.then(room=before.bytes, loss=before.loss + more if before.loss else None)


CUT = Kind("cut", "Cutting", Cut, cut, foresee_cut, takes=("checkpoint",))
SHARPEN = Kind("sharpen", "Sharpening", Sharpen, sharpen, foresee_same, takes=("checkpoint",))
LOOK = Kind("look", "Looking", Look, look, foresee_same, looks=True, measures=True)
KINDS = {kind.name: kind for kind in (CUT, SHARPEN, LOOK)}


def tiny(folder: Path) -> Path:
    """A checkpoint that the steps work on."""
    write_checkpoint(folder)
    (folder / WEIGHTS).write_bytes(bytes(range(200)))
    return folder
