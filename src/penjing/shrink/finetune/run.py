"""One fine-tuning run: examples read, the model trained, its adapter or the whole checkpoint written.

    OUTPUT/             whole or not there
        adapter_config.json, adapter_model.safetensors    the adapter, as peft keeps it
        adapter.gguf                                      the same for engines: penjing serve --lora NAME=FILE
        manifest.json

With `merge`, and for `full`, OUTPUT is a checkpoint.

Does not know: names of models, how an adapter is written as GGUF (the caller gives that).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from penjing import manifest
from penjing.manifest import Manifest
from penjing.progress import Progress, Report
from penjing.shrink import lineage, torch_model
from penjing.shrink.finetune import adapter, attempt, rows
from penjing.shrink.finetune.lessons import Lessons, heldout, learn
from penjing.shrink.finetune.options import Tuning
from penjing.shrink.finetune.turns import Counts
from penjing.shrink.lineage import Step
from penjing.shrink.output import whole_folder
from penjing.shrink.torch_bits import stored
from penjing.shrink.torch_model import TorchModel
from penjing.shrink.training import Outcome, Training

GGUF = "adapter.gguf"
AS_GGUF = Callable[[Path, Path, Path], Path]
"""`(peft folder, base checkpoint, target)`: write the adapter as GGUF."""
LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "torchao")


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
    folder = attempt.require_new(output, resume)
    notify(Progress(0.0, "reading"))
    told, apart = rows.read(data), heldout(options)  # before the model is
    notify(Progress(0.0, "loading"))
    loaded = adapter.load(source, options)
    lessons = learn(loaded, told, apart, options)
    options = _whole_epochs(options, len(lessons.examples))
    model = adapter.adapted(loaded.model, options)
    with attempt.under_way(folder):
        training = Training(
            model,
            lessons.examples,
            options,
            heldout=lessons.heldout,
            folder=folder,
            identity=_identity(source, lessons, options),
        )
        outcome = attempt.run(training, resume, notify)
        notify(Progress(1.0, "writing"))
        counted = sum(each.numel() for each in model.parameters()), sum(map(_size, training.trained.values()))
        step = _step(lessons, options, outcome)
        made = _write(model, loaded, output, options, step, as_gguf)
    return Result(output, outcome, lessons.counts, len(lessons.heldout), *counted, made)


def _size(tensor: Any) -> int:
    return int(tensor.numel())


def _whole_epochs(options: Tuning, count: int) -> Tuning:
    if not options.epochs:
        return options
    return replace(options, steps=max(1, round(options.epochs * count / options.batch)))


def _identity(source: Path, lessons: Lessons, options: Tuning) -> dict[str, str]:
    """What a run that goes on must share."""
    told = ("method", "base", "rank", "strength", "dropout", "targets", "length", "learn")
    return attempt.identity(options, told, lessons.data, model=lineage.parent_digest(source))


def _step(lessons: Lessons, options: Tuning, outcome: Outcome) -> Step:
    best = min((loss for _, loss in outcome.state.looks), default=None)
    found = attempt.found(outcome, lessons.counts, heldout=best)
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
        if as_gguf is not None and stored.form(loaded.folder) is None:  # else no engine has the base either
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
