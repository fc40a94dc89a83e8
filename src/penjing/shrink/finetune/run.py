"""One fine-tuning run: examples read, the model trained, its adapter or the whole checkpoint written.

    OUTPUT.training/    the states of a run that is not over: what --resume goes on from; removed at the end
    OUTPUT/             whole or not there
        adapter_config.json, adapter_model.safetensors    the adapter, as peft keeps it
        adapter.gguf                                      the same for engines: penjing serve --lora NAME=FILE
        manifest.json

With `merge`, and for `full`, OUTPUT is a checkpoint.

Does not know: names of models, how an adapter is written as GGUF (the caller gives that).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from penjing import manifest
from penjing.manifest import Manifest
from penjing.progress import Progress, Report
from penjing.shrink import lineage, torch_model, work
from penjing.shrink.checkpoints import Checkpoints
from penjing.shrink.finetune import adapter, rows
from penjing.shrink.finetune.faults import HeldOutEmpty, TooLong, Unfinished
from penjing.shrink.finetune.options import Tuning
from penjing.shrink.finetune.rows import Row
from penjing.shrink.finetune.turns import Counts, Turns
from penjing.shrink.lineage import Step
from penjing.shrink.output import require_free, whole_folder
from penjing.shrink.packing import Example
from penjing.shrink.torch_model import TorchModel
from penjing.shrink.training import NothingToLearn, Outcome, Training

GGUF = "adapter.gguf"
STATES = ".training"
AS_GGUF = Callable[[Path, Path, Path], Path]
"""`(peft folder, base checkpoint, target)`: write the adapter as GGUF."""
LEAST_TO_HOLD_OUT = 40
"""Examples; of fewer none is held out unless a file says which."""
LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes")


@dataclass(frozen=True)
class Result:
    """What a run made. `trained` of `parameters` numbers were trained."""

    output: Path
    outcome: Outcome
    counts: Counts
    heldout: int
    parameters: int
    trained: int
    manifest: Manifest


@dataclass(frozen=True)
class Lessons:
    """What is learned, what is measured on, and SHA-256 of the files it came from."""

    examples: list[Example]
    heldout: list[Example]
    counts: Counts
    data: dict[str, str]


def states(output: Path) -> Path:
    """Where a run for `output` keeps its states."""
    return output.with_name(output.name + STATES)


def finetune(
    source: Path,
    data: Sequence[Path],
    output: Path,
    options: Tuning,
    *,
    as_gguf: AS_GGUF | None = None,
    resume: bool | Path = False,
    report: Report | None = None,
) -> Result:
    """Train the checkpoint folder `source` on the files `data` and write the result to `output`. `resume` goes on from
    the last state of a run that was stopped, or from the one that it names. Whatever stops it, `output` is whole or not
    there. Raises what reading models and examples raises, OutputTaken, Unfinished, AlreadyRunning, NothingToResume,
    AnotherRun, LossNotFinite, DiskFull, SettingError."""
    notify = report or (lambda progress: None)
    require_free(output)
    folder = states(output)
    if not resume and Checkpoints(folder).all():
        raise Unfinished(path=str(folder), output=str(output))
    notify(Progress(0.0, "reading"))
    told, apart = rows.read(data), rows.read([options.heldout] if options.heldout else [])  # before the model is
    notify(Progress(0.0, "loading"))
    loaded = adapter.load(source, options)
    lessons = learn(loaded, told, apart, options)
    options = _whole_epochs(options, len(lessons.examples))
    model = adapter.adapted(loaded.model, options)
    with work.opened(folder):
        training = Training(
            model,
            lessons.examples,
            options,
            heldout=lessons.heldout,
            folder=folder,
            identity=_identity(source, lessons, options),
        )
        if resume:
            training.resume(resume if isinstance(resume, Path) else None)
        outcome = training.run(notify)
        notify(Progress(1.0, "writing"))
        counted = sum(each.numel() for each in model.parameters()), sum(map(_size, training.trained.values()))
        step = _step(lessons, options, outcome)
        made = _write(model, loaded, output, options, step, as_gguf)
    shutil.rmtree(folder, ignore_errors=True)
    return Result(output, outcome, lessons.counts, len(lessons.heldout), *counted, made)


def _size(tensor: Any) -> int:
    return int(tensor.numel())


def learn(loaded: TorchModel, told: Sequence[Row], apart: Sequence[Row], options: Tuning) -> Lessons:
    """The examples in the model's tokens, and those that are held out: `apart`, else a share of them. Raises
    NoChatTemplate, TemplateRefusesExample, TooLong, NothingToLearn, HeldOutEmpty."""
    context = getattr(loaded.model.config, "max_position_embeddings", None) or options.length
    length = min(options.length, int(context))
    turns = Turns(loaded.tokenizer, length, options.learn)
    examples = turns.examples(told)
    paths = list(dict.fromkeys(row.path for row in (*told, *apart)))
    if not examples and turns.counts.left_out:
        raise TooLong(path=", ".join(map(str, paths)), length=length)
    if not examples:
        raise NothingToLearn
    heldout = Turns(loaded.tokenizer, length, options.learn).examples(apart)
    if apart and not heldout:
        raise HeldOutEmpty(path=str(options.heldout))
    if not apart and options.held_out and len(examples) >= LEAST_TO_HOLD_OUT:
        examples, heldout = _divided(examples, options)
    return Lessons(examples, heldout, turns.counts, {path.name: manifest.digest(path) for path in paths})


def _divided(examples: list[Example], options: Tuning) -> tuple[list[Example], list[Example]]:
    """Those that are learned and those that are not, drawn by the seed."""
    import numpy as np

    count = max(1, round(options.held_out * len(examples)))
    chosen = set(np.random.default_rng(options.seed).permutation(len(examples))[:count].tolist())
    learned = [example for index, example in enumerate(examples) if index not in chosen]
    return learned, [examples[index] for index in sorted(chosen)]


def _whole_epochs(options: Tuning, count: int) -> Tuning:
    if not options.epochs:
        return options
    return replace(options, steps=max(1, round(options.epochs * count / options.batch)))


def _identity(source: Path, lessons: Lessons, options: Tuning) -> dict[str, str]:
    """What a run that goes on must share."""
    told = ("method", "rank", "strength", "dropout", "targets", "length", "learn")
    facts = {name: str(getattr(options, name)) for name in told}
    data = " ".join(f"{name}:{digest[:16]}" for name, digest in lessons.data.items())
    return {**facts, "model": lineage.parent_digest(source)[:16], "data": data}


def _step(lessons: Lessons, options: Tuning, outcome: Outcome) -> Step:
    state = outcome.state
    found = {
        "ended": outcome.why,
        "steps": state.step,
        "chosen": outcome.chosen,
        "loss": state.losses[-1] if state.losses else None,
        "heldout": min((loss for _, loss in state.looks), default=None),
        "seconds": round(state.seconds, 1),
        "examples": asdict(lessons.counts),
    }
    given = msgspec.to_builtins(options, enc_hook=str)
    return Step("finetune", given, options.seed, lessons.data, found, libraries=LIBRARIES)


def _write(
    model: Any, loaded: TorchModel, output: Path, options: Tuning, step: Step, as_gguf: AS_GGUF | None
) -> Manifest:
    if not options.adapts:
        return torch_model.save(loaded, output, step)
    if options.merge:
        return torch_model.save(adapter.merged(model, loaded, options), output, step)
    torch_model.require_finite(model, output)
    with whole_folder(output) as folder:
        adapter.save(model, folder)
        if as_gguf is not None:
            as_gguf(folder, loaded.folder, folder / GGUF)
        return _describe(folder, output.name, loaded.folder, options, step)


def _describe(folder: Path, name: str, base: Path, options: Tuning, step: Step) -> Manifest:
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    made = Manifest(
        name=name,
        version="1",
        licence=lineage.licence(base),
        facts={"adapter": "lora", "rank": options.rank, "alpha": options.strength},
        files=tuple(manifest.describe(path, folder) for path in files),
        parent=lineage.parent_digest(base),
        recipe={"steps": [step.entry()]},
    )
    manifest.save(made, folder)
    return made
