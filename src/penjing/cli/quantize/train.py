"""`penjing quantize --train`: what was quantized learns to answer as the original does, in the same types and bytes.

    OUTPUT.training/start.gguf    the quantized file that it begins with
    OUTPUT.training/wish.json     what was asked of that file
    OUTPUT.training/step-*.pt     what was learned so far

Does not know: how a file is quantized (the verb gives that).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from penjing.cli import talk
from penjing.cli.training import going_on
from penjing.errors import SettingError

if TYPE_CHECKING:
    from penjing.cli.local import Care
    from penjing.shrink.qat.options import Refining
    from penjing.shrink.qat.run import Refined
    from penjing.shrink.quantize.budget import Budgeted
    from penjing.shrink.quantize.mix import Quantized

SECTION = "quantize"
START, WISH = "start.gguf", "wish.json"
TRAINING = ("rate", "batch", "minutes", "heldout", "device")
"""Options that are settings of the training."""
ASKED = ("to", "bits", "preset", "types", "text", "imatrix", "plain")
"""Options that say what the file is that is trained."""
Make = Callable[[Path], "tuple[Quantized, Budgeted | None]"]
"""`make(target)`: quantize without training."""


def options(given: dict[str, Any]) -> Refining | None:
    """What was asked for; None where nothing is to be trained. Raises SettingError for an option of training without
    --train, ShrinkExtraMissing."""
    from penjing.settings import load
    from penjing.shrink import extra
    from penjing.shrink.qat.options import Refining

    if given["train"] is None:
        for name in (*TRAINING, "data", "resume"):
            if given[name]:
                raise SettingError(name=name, value=given[name], wanted="beside --train STEPS", source=f"--{name}")
        return None
    found = load(Refining, SECTION, {"steps": given["train"], **{name: given[name] for name in TRAINING}}).value
    extra.require()
    return found


def train(
    model: str, output: Path, wanted: Refining, given: dict[str, Any], care: Care, make: Make
) -> tuple[Quantized, Budgeted | None, Refined]:
    """Quantize (unless an earlier try did), then train. Raises NotACheckpoint, Unfinished, NothingToResume, AnotherRun,
    and what both raise."""
    from penjing.cli.checkpoint import checkpoint
    from penjing.export.gguf.convert import layout
    from penjing.files import expanded
    from penjing.shrink.finetune.attempt import states
    from penjing.shrink.qat.run import refine
    from penjing.shrink.steps.training import builtin

    _, original = checkpoint(model, care)
    folder = states(output)
    start, fitted = folder / START, None
    if _goes_on(folder, output, given):
        done = known(start)
    else:
        done, fitted = make(start)
    data = [expanded(each) for each in given["data"]] or [builtin()]
    resume = bool(given["resume"])
    with going_on(output) as report:
        learned = refine(original, start, data, output, wanted, layout=layout, resume=resume, report=report)
    return replace(done, path=output), fitted, learned


def _goes_on(folder: Path, output: Path, given: dict[str, Any]) -> bool:
    """Whether `folder` holds a try that is gone on with; else it is made ready for one."""
    from penjing.files import write_whole
    from penjing.shrink.checkpoints import Checkpoints
    from penjing.shrink.finetune.faults import Unfinished
    from penjing.shrink.training import AnotherRun

    page, now = folder / WISH, {name: given[name] for name in ASKED}
    if given["resume"]:
        Checkpoints(folder).newest()
        before = msgspec.json.decode(page.read_bytes())
        for name, value in msgspec.json.decode(msgspec.json.encode(now)).items():
            if before.get(name) != value:
                raise AnotherRun(path=str(folder), name=name, before=before.get(name), now=value)
        return True
    if Checkpoints(folder).all():
        raise Unfinished(path=str(folder), output=str(output))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_whole(page, msgspec.json.encode(now))
    return False


def known(path: Path) -> Quantized:
    """What an earlier try wrote."""
    from collections import Counter

    from penjing.probe import single
    from penjing.shrink.quantize.mix import Quantized

    model = single.read(path)
    types = dict(Counter(tensor.type for tensor in model.tensors))
    return Quantized(path, model.quantization, types, {}, sum(tensor.bytes for tensor in model.tensors))


def tell(learned: Refined) -> None:
    """What training brought."""
    state = learned.outcome.state
    if learned.before is None or learned.after is None:
        loss = state.losses[-1] if state.losses else 0.0
        talk.note("Trained: {steps} steps, loss {loss:.4f}.", steps=state.step, loss=loss)
        return
    talk.note(
        "Trained: {steps} steps; divergence from the original on held-out examples {before:.4f} -> {after:.4f}.",
        steps=state.step,
        before=learned.before,
        after=learned.after,
    )
    if state.looks and learned.outcome.chosen == 0:
        talk.warn("No step made the loss on what is held out better: the result is as it was without training.")
