"""Units that others can stand in for are cheap, and what stays is fitted to what the whole wrote."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.extras


def known(seed: int = 0) -> tuple[object, object, object]:
    """Inputs [tokens, 6] of which the last is twice the first; a matrix that reads them; what is known of it."""
    import torch

    from penjing.shrink.prune.importance import Matrix

    random = torch.Generator().manual_seed(seed)
    inputs = torch.randn(400, 6, generator=random)
    inputs[:, 5] = 2 * inputs[:, 0]
    weight = torch.randn(4, 6, generator=random)
    matrix = Matrix(inputs.T @ inputs / 400, torch.eye(4), torch.tensor([3.0, 1.0, 2.0, 6.0, 5.0, 4.0]))
    return inputs, weight, matrix


def test_what_others_stand_in_for_goes_first() -> None:
    import torch

    from penjing.shrink.prune.price import removal

    _, weight, matrix = known()
    found = removal(weight, matrix)  # type: ignore[arg-type]  # torch's own types are not there when types are checked
    assert int(found.order[0]) in (0, 5)
    assert sorted(found.order.tolist()) == list(range(6))
    steps = found.lost.diff()
    assert float(found.lost[0]) == 0
    assert bool((steps >= 0).all())
    assert float(steps[0]) < 0.1 * float(steps[1])
    assert found.kept(2).tolist() == sorted(found.order[-2:].tolist())
    assert removal(weight, matrix, "taylor").order.tolist() == [1, 2, 0, 5, 4, 3]  # type: ignore[arg-type]
    by_energy = removal(weight, matrix, "activation")  # type: ignore[arg-type]
    assert torch.allclose(by_energy.lost[-1], (matrix.inputs.diagonal() * weight.square().sum(0)).sum() / 2)  # type: ignore[attr-defined]


def test_the_price_is_what_is_lost() -> None:
    """Of a block too: half the mean square of what is written, after the rest was fitted."""
    import torch

    from penjing.shrink.prune.price import removal, repaired

    inputs, weight, matrix = known(1)
    matrix.gates = torch.zeros(3)  # type: ignore[attr-defined]  # three units of two
    found = removal(weight, matrix)  # type: ignore[arg-type]
    going = int(found.order[0])
    stays = torch.tensor([column for column in range(6) if column // 2 != going])
    fitted = repaired(weight, matrix, stays)  # type: ignore[arg-type]
    missed = inputs @ weight.T - inputs[:, stays] @ fitted.T  # type: ignore[index,attr-defined]
    assert float(missed.square().sum(1).mean() / 2) == pytest.approx(float(found.lost[1]), rel=0.15)  # damped
    plain = inputs @ weight.T - inputs[:, stays] @ weight[:, stays].T  # type: ignore[index,attr-defined]
    assert float(missed.square().sum()) < float(plain.square().sum())
