"""What it costs to take units (channels, groups of heads) out of a matrix that writes, one after another, and how the
matrix makes up for those that are gone.

    curvature   the cheapest first, each price being what is left after the other columns made up for it, computed
                anew as columns go
    taylor      by gates alone
    activation  by the energy that a unit writes

Does not know: models, how much is removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penjing.shrink.prune.anatomy import spread
from penjing.shrink.prune.importance import Matrix

if TYPE_CHECKING:
    from torch import Tensor

CRITERIA = ("curvature", "taylor", "activation")
DAMPING = 1e-2
"""Of the mean of the diagonal, added to it: what calibration did not show is not certain to be nothing (as GPTQ)."""
ROUNDS = 24
"""Times that prices are computed anew while units go."""


@dataclass(frozen=True)
class Removal:
    """`order` [units] int64: which unit goes first. `lost` [units + 1]: nats a token that are lost when so many are
    gone; it begins with 0 and never falls."""

    order: Tensor
    lost: Tensor

    def kept(self, count: int) -> Tensor:
        """The `count` units that go last, in increasing order."""
        return self.order[len(self.order) - count :].sort().values


def removal(weight: Tensor, matrix: Matrix, criterion: str = "curvature") -> Removal:
    """Of the units of `weight` [hidden, in] float32."""
    import torch

    if criterion == "curvature":
        return _curvature(weight, matrix)
    scores = matrix.gates if criterion == "taylor" else _energy(weight, matrix)
    scores, order = scores.sort()
    return Removal(order, torch.cat([scores.new_zeros(1), scores.cumsum(0)]))


def repaired(weight: Tensor, matrix: Matrix, columns: Tensor) -> Tensor:
    """The least-squares fit of `weight` @ inputs by the given columns of the inputs alone: [hidden, columns]."""
    import torch

    inputs = damped(matrix.inputs)
    return torch.linalg.solve(inputs[columns][:, columns], inputs[columns] @ weight.T).T


def damped(inputs: Tensor) -> Tensor:
    """`inputs` [in, in] with something on its diagonal; never singular."""
    import torch

    return inputs + torch.eye(len(inputs)) * (DAMPING * inputs.diagonal().mean() + 1e-12)


def _energy(weight: Tensor, matrix: Matrix) -> Tensor:
    """Of each unit: half the square that it writes, times the mean curvature by what is written."""
    columns = matrix.inputs.diagonal() * weight.square().sum(0)
    return columns.view(len(matrix.gates), -1).sum(1) * matrix.outputs.diagonal().mean() / 2


def _curvature(weight: Tensor, matrix: Matrix) -> Removal:
    import torch

    units = len(matrix.gates)
    width = weight.shape[1] // units
    left = torch.arange(units)
    order, lost = [], [torch.zeros(1)]
    while len(left):
        prices = _prices(weight, matrix, left, width)
        step = max(1, min(len(left), -(-units // ROUNDS)))
        cheapest = prices.argsort()[:step]
        order.append(left[cheapest])
        lost.append(lost[-1][-1] + prices[cheapest].cumsum(0))
        stays = torch.ones(len(left), dtype=torch.bool)
        stays[cheapest] = False
        left = left[stays]
    return Removal(torch.cat(order), torch.cat(lost))


def _prices(weight: Tensor, matrix: Matrix, left: Tensor, width: int) -> Tensor:
    """Of removing each unit that is `left`, alone: tr(G W_u inv([C^-1]_uu) W_u.T) / 2, W being fitted to what is left
    (Kurtic et al. 2023, eq. 4, with the curvature G by what is written)."""
    import torch

    columns = spread(left, width)
    now = repaired(weight, matrix, columns)
    inverse = torch.linalg.inv(damped(matrix.inputs)[columns][:, columns])
    if width == 1:
        written = (now * (matrix.outputs @ now)).sum(0)
        return written / inverse.diagonal() / 2
    blocks = now.view(len(now), len(left), width).movedim(1, 0)
    written = torch.einsum("uhi,hk,ukj->uij", blocks, matrix.outputs, blocks)
    own = torch.stack([inverse[i : i + width, i : i + width] for i in range(0, len(columns), width)])
    return torch.linalg.solve(own, written).diagonal(dim1=1, dim2=2).sum(1) / 2
