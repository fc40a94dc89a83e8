"""Which parameters Muon moves, how far, and that a run goes on with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.progress import Progress
from penjing.shrink.optimizer import ADAMW, MUON, optimizer
from penjing.shrink.packing import Example
from penjing.shrink.regime import Regime
from penjing.shrink.training import AnotherRun, Training
from tiny_torch import tiny

pytestmark = pytest.mark.extras
REGIME = Regime(steps=12, rate=5e-3, batch=4, save_every=4, look_every=4, patience=0, precision="f32", optimizer=MUON)


def texts(count: int = 12) -> list[Example]:
    random = np.random.default_rng(0)
    return [Example.of(random.integers(3, 64, random.integers(4, 20)).tolist()) for _ in range(count)]


def moved(model: Any, kind: str) -> dict[str, Any]:
    """By how much one step of rate 0.01 changes each parameter."""
    import torch

    trained = dict(model.named_parameters())
    before = {name: each.detach().clone() for name, each in trained.items()}
    made = optimizer(model, trained, kind, 0.01, 0.0)
    tokens = torch.arange(3, 40)[None]
    model(input_ids=tokens, labels=tokens).loss.backward()
    made.step()
    return {name: each.detach() - before[name] for name, each in trained.items()}


def test_no_direction_of_a_layers_matrix_moves_more_than_others() -> None:
    """An orthogonal step, as long as AdamW's usually are (0.2 of the rate a number), has no longer direction."""
    import torch

    plain, mixed = moved(tiny("llama"), ADAMW), moved(tiny("llama"), MUON)
    for name, step in mixed.items():
        if step.ndim == 2 and "layers." in name:
            most = 1.3 * 0.2 * 0.01 * max(step.shape) ** 0.5  # Newton and Schulz come near to 1, not quite
            assert float(torch.linalg.svdvals(step).max()) < most, name
            assert float(torch.linalg.svdvals(plain[name]).max()) > 2 * most, name


def test_tables_and_norms_move_as_before() -> None:
    import torch

    plain, mixed = moved(tiny("llama"), ADAMW), moved(tiny("llama"), MUON)
    same = {name for name, step in mixed.items() if torch.equal(step, plain[name])}
    assert same == {name for name, step in mixed.items() if step.ndim == 1 or "embed" in name or "lm_head" in name}


def test_what_is_stopped_goes_on_with_the_same_losses(tmp_path: Path) -> None:
    wanted = Training(tiny(), texts(), REGIME).run().state.losses

    def stop(progress: Progress) -> None:
        if progress.fraction > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Training(tiny(), texts(), REGIME, folder=tmp_path).run(stop)
    again = Training(tiny(seed=3), texts(), REGIME, folder=tmp_path)
    assert again.resume() == 5
    assert again.run().state.losses == wanted
    with pytest.raises(AnotherRun):
        Training(tiny(), texts(), replace(REGIME, optimizer=ADAMW), folder=tmp_path).resume()


def test_a_run_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    """Its state says nothing of optimizers, and has that of one."""
    import torch

    from penjing.shrink import checkpoints

    regime = replace(REGIME, optimizer=ADAMW)
    first = Training(tiny(), texts(), replace(regime, steps=4), folder=tmp_path)
    first.run()
    (path,) = tmp_path.glob("*[0-9]*")
    kept = checkpoints.read(path)
    del kept["identity"]["optimizer"]
    kept["optimizer"] = kept["optimizer"]["0"]
    torch.save(kept, path)
    again = Training(tiny(seed=3), texts(), regime, folder=tmp_path)
    assert again.resume() == 4
    assert len(again.run().state.losses) == 12
