"""The step `prune`: fewer parameters, an ordinary checkpoint.

Does not know: what is cut away and why (`shrink.prune`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec

from penjing.probe.facts import Model
from penjing.probe.tensor import Tensor
from penjing.shrink.prune.prune import PruneOptions
from penjing.shrink.steps.kind import Kind, Made, Named, Outlook, Pace, Work
from penjing.shrink.texts.known import FILES

TOKENS = 512
"""Of a window of calibration text."""
PASSES = 3.0 * 2.0
"""Operations for a weight and token of one pass forward and back."""


@dataclass(frozen=True)
class Prune(PruneOptions):
    """As `PruneOptions`; `texts` are what importance is measured on, files or built-in ones, in `windows` windows."""

    texts: tuple[Named, ...] = ()
    windows: Annotated[int, msgspec.Meta(ge=2)] = 64


def run(work: Work, options: Prune) -> Made:
    """The checkpoint is `output`."""
    from penjing.shrink import extra

    extra.require()
    from penjing.shrink.examples import examples
    from penjing.shrink.prune.prune import prune
    from penjing.shrink.texts.known import CALIBRATION, builtin, texts

    given = [text for name in options.texts for text in texts(name)] or builtin(CALIBRATION)
    found = examples(given, tokenizer(work), most=options.windows)
    told = {text.name: text.digest for text in given}
    done = prune(work.model, work.output, options, found, data=told, report=work.report)
    return Made(work.output, _found(done.manifest.recipe), told)


def tokenizer(work: Work) -> Any:
    """That of the model, as transformers reads it. Raises LoadFailed."""
    from transformers import AutoTokenizer

    from penjing.shrink.torch_model import LoadFailed

    try:
        return AutoTokenizer.from_pretrained(work.model, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise LoadFailed(path=str(work.model), detail=str(error).partition("\n")[0]) from error


def _found(recipe: dict[str, Any]) -> dict[str, Any]:
    """What the step's own manifest says of it."""
    found: dict[str, Any] = recipe["steps"][-1].get("found", {})
    return found


def foresee(before: Outlook, options: Prune, pace: Pace) -> Outlook:
    """What is lost is measured, not foreseen."""
    after = smaller(before.model, options.ratio)
    effort = PASSES * before.model.parameters * options.windows * TOKENS * (1 + options.tries / 3)
    size = round(before.bytes * after.parameters / max(before.model.parameters, 1))
    return before.then(
        model=after,
        bytes=size,
        exact=False,
        loss=None,
        effort=effort,
        seconds=pace.time("prune", effort, "train"),
        room=size,
    )


def smaller(model: Model, ratio: float) -> Model:
    """`model` with that share of its parameters gone, all of them from matrices in layers."""
    kept = round(model.parameters * (1 - ratio))
    layered = {tensor.name for tensor in model.tensors if len(tensor.shape) > 1 and any(map(str.isdigit, tensor.name))}
    inside = sum(tensor.elements for tensor in model.tensors if tensor.name in layered)
    share = max(0.0, 1 - (model.parameters - kept) / inside) if inside else 1.0
    tensors = tuple(_cut(tensor, share) if tensor.name in layered else tensor for tensor in model.tensors)
    width = kept / max(model.parameters, 1)
    return replace(model, parameters=kept, tensors=tensors, bytes=round(model.bytes * width))


def _cut(tensor: Tensor, share: float) -> Tensor:
    rows = max(1, round(tensor.shape[-2] * share))
    shape = (*tensor.shape[:-2], rows, tensor.shape[-1])
    return replace(tensor, shape=shape, bytes=round(tensor.bytes * rows / tensor.shape[-2]))


PRUNE = Kind(
    "prune",
    "Cutting weights away",
    Prune,
    run,
    foresee,
    takes=("checkpoint",),
    gives="checkpoint",
    libraries=("torch", "transformers"),
    names={"texts": FILES},
)
