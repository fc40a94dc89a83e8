"""What turns gradients into steps: AdamW, or Muon for the matrices of the layers and AdamW for the rest.

Muon (Jordan et al. 2024; arXiv:2502.16982 for the scale of its steps) makes the step of a matrix orthogonal, so that
directions that are seldom pointed in are learned as fast as others. Embeddings and the head are tables of tokens, where
that is no help.

Does not know: losses, examples, when a step is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

ADAMW, MUON = "adamw", "muon"
OPTIMIZERS = (ADAMW, MUON)


class Optimizers:
    """Several that each have parameters of their own, as one."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Of all."""
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self) -> None:
        """Gradients are dropped."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def step(self) -> None:
        """All parameters move."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """What a run that goes on needs."""
        return {str(at): part.state_dict() for at, part in enumerate(self.parts)}

    def load_state_dict(self, kept: Mapping[str, Any]) -> None:
        """As `state_dict` gave it; of a run of an earlier version, which had but one, too."""
        for at, part in enumerate(self.parts):
            part.load_state_dict(kept.get(str(at), kept))


def optimizer(model: Any, trained: Mapping[str, Tensor], kind: str, rate: float, weight_decay: float) -> Optimizers:
    """For the parameters `trained` of `model`, at the learning rate `rate`: Muon's steps are as long as AdamW's are, so
    that both have the same rate."""
    import torch

    matrices = {name: each for name, each in trained.items() if kind == MUON and each.ndim == 2}
    tables = {id(each) for each in _tables(model)}
    inner = [each for each in matrices.values() if id(each) not in tables]
    chosen = {id(each) for each in inner}
    rest = [each for each in trained.values() if id(each) not in chosen]
    parts: list[Any] = []
    if inner:
        adjusted = "match_rms_adamw"
        parts.append(torch.optim.Muon(inner, lr=rate, weight_decay=weight_decay, adjust_lr_fn=adjusted))
    if rest:
        parts.append(torch.optim.AdamW(rest, rate, weight_decay=weight_decay))
    return Optimizers(*parts)


def _tables(model: Any) -> list[Tensor]:
    """Of tokens: embeddings of all kinds, and the head; where a training has put something else in the place of their
    weights, the parameters of that."""
    import torch

    found = [each for each in model.modules() if isinstance(each, torch.nn.Embedding)]
    head = getattr(model, "get_output_embeddings", lambda: None)()
    return [each for table in (*found, *([] if head is None else [head])) for each in table.parameters()]
