"""How much each part of a model matters, from calibration: one pass forward and back, the model's own answers as the
truth (the loss whose curvature is that of the KL divergence to the whole model).

    matrices   of what a layer writes with: `inputs` [in, in], the mean of a.aT over learned tokens; `outputs`
               [hidden, hidden], the mean of g.gT, g being the gradient by what was written. Their Kronecker product
               approximates the curvature (Martens & Grosse 2015, K-FAC), so that removing columns of a matrix has a
               price, and the others can be moved to make up for it (Hassibi & Stork 1993, optimal brain surgeon;
               in blocks: Frantar & Alistarh 2022, Kurtic et al. 2023, ZipLM)
    gates      (dL/d gate)^2 / 2, a gate multiplying a part, added up over passes (Taylor importance; Molchanov et al.
               2019): of channels, groups of heads, hidden dimensions, whole layers
    influence  of whole layers: 1 - cos(before, after), the mean over learned tokens (Men et al. 2024, ShortGPT)

All in nats a learned token but influence.

Does not know: what is removed, and how much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penjing.progress import Progress, Report
from penjing.shrink import packing
from penjing.shrink.packing import IGNORED, Batch, Example
from penjing.shrink.prune.anatomy import AXES, HIDDEN, Anatomy

if TYPE_CHECKING:
    from torch import Tensor

READERS = ("q_proj.weight", "k_proj.weight", "v_proj.weight", "qkv_proj.weight", "gate_proj.weight",
           "up_proj.weight", "gate_up_proj.weight", "lm_head.weight", "embed_tokens.weight")  # fmt: skip
ROWS = 8
"""Examples of a pass: gates are squared after summing over one, so few show more of the curvature."""


@dataclass
class Matrix:
    """What is known of one matrix [hidden, in] that writes, float32: `inputs` [in, in], `outputs` [hidden, hidden],
    `gates` [units], a unit being a channel or a group."""

    inputs: Tensor
    outputs: Tensor
    gates: Tensor


@dataclass
class Importance:
    """`attention` and `inner`: a Matrix for each layer; `layers` [layers] and `hidden` [hidden]: gates; `influence`
    [layers]; measured on `tokens`, of which `learned` count."""

    attention: list[Matrix]
    inner: list[Matrix]
    layers: Tensor
    hidden: Tensor
    influence: Tensor
    tokens: int = 0
    learned: int = 0


def measure(anatomy: Anatomy, examples: Sequence[Example], seed: int = 0, report: Report | None = None) -> Importance:
    """Of every part, on `examples`. `seed` draws what the model would have answered. `report` cancels by raising."""
    import torch

    found = _empty(anatomy)
    drawing = torch.Generator().manual_seed(seed)
    model = anatomy.model
    batches = list(packing.looked(examples, ROWS))
    for done, batch in enumerate(batches):
        if report:
            report(Progress(done / len(batches), "calibrating"))
        if batch.learned:
            with _watching(anatomy, found, batch):
                _backward(model, batch, drawing)
            _gates(anatomy, found)
            model.zero_grad(set_to_none=True)
            found.tokens += batch.tokens.numel()
            found.learned += batch.learned
    _mean(found)
    return found


def _empty(anatomy: Anatomy) -> Importance:
    import torch

    def matrix(width: int, units: int) -> Matrix:
        return Matrix(torch.zeros(width, width), torch.zeros(anatomy.hidden, anatomy.hidden), torch.zeros(units))

    layers = range(anatomy.layers)
    heads = anatomy.groups * anatomy.sharing * anatomy.head
    flat = torch.zeros(anatomy.layers)
    return Importance(
        [matrix(heads, anatomy.groups) for _ in layers],
        [matrix(anatomy.inner, anatomy.inner) for _ in layers],
        flat,
        torch.zeros(anatomy.hidden),
        flat.clone(),
    )


def _backward(model: Any, batch: Batch, drawing: Any) -> None:
    """The loss of answers that the model itself draws, summed over learned tokens, and its gradients."""
    import torch

    logits = model(input_ids=batch.tokens, position_ids=batch.positions, use_cache=False).logits
    chosen = logits[batch.labels != IGNORED].float()
    with torch.no_grad():
        drawn = torch.multinomial(chosen.softmax(-1), 1, generator=drawing)[:, 0]
    torch.nn.functional.cross_entropy(chosen, drawn, reduction="sum").backward()


@contextmanager
def _watching(anatomy: Anatomy, found: Importance, batch: Batch) -> Iterator[None]:
    """Inputs, gradients and influence are added up while the model computes."""
    hooks = []
    for layer in range(anatomy.layers):
        for module, into in zip(anatomy.parts(layer), (found.attention[layer], found.inner[layer]), strict=True):
            hooks.append(module.register_forward_pre_hook(_inputs(into)))
            hooks.append(module.register_full_backward_hook(_outputs(into)))
        block = anatomy.model.model.layers[layer]
        hooks.append(block.register_forward_hook(_influence(found, layer, batch), with_kwargs=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _inputs(into: Matrix) -> Callable[..., None]:
    def hook(module: Any, given: tuple[Tensor, ...]) -> None:
        flat = given[0].detach().float().flatten(0, -2)
        into.inputs += flat.T @ flat

    return hook


def _outputs(into: Matrix) -> Callable[..., None]:
    def hook(module: Any, before: Any, given: tuple[Tensor, ...]) -> None:
        flat = given[0].detach().float().flatten(0, -2)
        into.outputs += flat.T @ flat

    return hook


def _influence(found: Importance, layer: int, batch: Batch) -> Callable[..., None]:
    import torch

    def hook(module: Any, given: tuple[Tensor, ...], named: dict[str, Tensor], made: Any) -> None:
        before = given[0] if given else named["hidden_states"]
        after = made[0] if isinstance(made, tuple) else made
        same = torch.cosine_similarity(before.detach().float(), after.detach().float(), dim=-1)
        found.influence[layer] += float((1 - same)[batch.labels != IGNORED].sum())

    return hook


def _gates(anatomy: Anatomy, found: Importance) -> None:
    """From the gradients of one pass: a gate's is the sum of weight times gradient over what it multiplies."""
    for layer in range(anatomy.layers):
        wrote = 0.0
        for part, into in zip(anatomy.parts(layer), (found.attention[layer], found.inner[layer]), strict=True):
            units = (part.weight * part.weight.grad).detach().float().sum(0).view(len(into.gates), -1).sum(1)
            into.gates += units**2 / 2
            wrote += float(units.sum())
        found.layers[layer] += wrote**2 / 2
    read = found.hidden.new_zeros(anatomy.hidden)
    for name, values in anatomy.model.named_parameters():
        if name.endswith(READERS) and values.grad is not None:
            axis = AXES[anatomy.suffix(name)].index(HIDDEN)
            read += (values * values.grad).detach().float().movedim(axis, 0).flatten(1).sum(1)
    found.hidden += read**2 / 2


def _mean(found: Importance) -> None:
    for matrix in (*found.attention, *found.inner):
        matrix.inputs /= max(found.tokens, 1)  # what is read matters wherever it stands
        matrix.outputs /= max(found.learned, 1)
        matrix.gates /= max(found.learned, 1)
    for values in (found.layers, found.hidden, found.influence):
        values /= max(found.learned, 1)
