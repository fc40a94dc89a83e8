"""Unstructured pruning in a pattern that some hardware computes faster: of every 4 numbers in a row, 2 are zero.

Which ones: the smallest by |weight| times the norm of what it multiplies (Sun et al. 2023, Wanda). The checkpoint keeps
its shapes and its size; `distill` keeps the zeros.

Does not know: which engine makes use of it (NVIDIA's sparse tensor cores do, from Ampere on; llama.cpp does not).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.errors import SettingError
from penjing.progress import Progress, Report
from penjing.shrink import packing, torch_model
from penjing.shrink.lineage import Step
from penjing.shrink.output import require_free
from penjing.shrink.packing import Example
from penjing.shrink.prune.anatomy import Anatomy
from penjing.shrink.prune.importance import ROWS

if TYPE_CHECKING:
    from torch import Tensor

    from penjing.manifest import Manifest

PATTERN = re.compile(r"^(\d{1,2}):(\d{1,2})$")


def parsed(pattern: str) -> tuple[int, int]:
    """How many numbers stay of how many: `2:4`. Raises SettingError."""
    found = PATTERN.match(pattern)
    if found is None or not 0 < int(found[1]) < int(found[2]):
        raise SettingError(name="pattern", value=pattern, wanted="like 2:4 (2 of every 4 stay)", source="--pattern")
    return int(found[1]), int(found[2])


def sparsify(
    folder: Path,
    output: Path,
    pattern: str,
    examples: Sequence[Example],
    *,
    data: Mapping[str, str] | None = None,
    report: Report | None = None,
) -> Manifest:
    """Write the checkpoint in `folder` with zeros by `pattern` in the matrices of its layers to `output`. Rows that are
    no multiple of the pattern's length stay whole, and the manifest names them. Raises SettingError and what
    `torch_model.load` and `save` raise."""
    stays, of = parsed(pattern)
    require_free(output)
    loaded = torch_model.load(folder)
    Anatomy(loaded.model, folder)  # says no to kinds whose matrices are not known
    matrices = _matrices(loaded.model)
    energies = _measured(loaded.model, matrices, examples, report)
    whole = []
    for name, module in matrices.items():
        if module.weight.shape[1] % of:
            whole.append(name)
        else:
            module.weight.data *= mask(module.weight.data, energies[name], stays, of)
    found = {"matrices": len(matrices) - len(whole), "left_whole": whole}
    step = Step("prune", {"pattern": pattern}, None, data or {}, found)
    return torch_model.save(loaded, output, step)


def mask(weight: Tensor, energy: Tensor, stays: int, of: int) -> Tensor:
    """1 for what stays, 0 for the rest: [rows, columns] as `weight`; `energy` [columns] is the mean square of what each
    column multiplies."""
    import torch

    scores = (weight.abs() * energy.sqrt()).view(len(weight), -1, of)
    best = scores.topk(stays, dim=-1).indices
    return torch.zeros_like(scores).scatter_(-1, best, 1.0).view_as(weight)


def _matrices(model: Any) -> dict[str, Any]:
    import torch

    return {name: each for name, each in model.model.layers.named_modules() if isinstance(each, torch.nn.Linear)}


def _measured(
    model: Any, matrices: Mapping[str, Any], examples: Sequence[Example], report: Report | None
) -> dict[str, Tensor]:
    """Of each matrix, the mean square of its inputs, [columns] float32."""
    import torch

    found = {name: torch.zeros(each.weight.shape[1]) for name, each in matrices.items()}
    hooks = [each.register_forward_pre_hook(_adding(found[name])) for name, each in matrices.items()]
    batches = list(packing.looked(examples, ROWS))
    try:
        with torch.no_grad():
            for done, batch in enumerate(batches):
                if report:
                    report(Progress(done / len(batches), "calibrating"))
                model(input_ids=batch.tokens, position_ids=batch.positions, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    tokens = sum(batch.tokens.numel() for batch in batches)
    return {name: values / max(tokens, 1) for name, values in found.items()}


def _adding(into: Tensor) -> Callable[..., None]:
    def hook(module: Any, given: tuple[Tensor, ...]) -> None:
        into.add_(given[0].detach().float().square().flatten(0, -2).sum(0))

    return hook
