"""A run learns, is resumed where it was, and its rates follow the clock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tokenizers")

from recipes.guide.pack import Batch, collate  # noqa: E402
from recipes.guide.run import Plan, Run, schedule  # noqa: E402

pytestmark = pytest.mark.extras
DATA = Path(__file__).parents[3] / "src/penjing/data/guide"


def plan(folder: Path, optimizer: str = "muon") -> Plan:
    return Plan("", str(DATA), str(folder), minutes=1, layers=1, ffn=256, optimizer=optimizer, compile=False)


def batch(run: Run) -> Batch:
    messages = [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "2 + 2 = 4."}]
    document = run.writer.document(run.writer.conversation({"messages": messages}), thinking=False)
    return collate([[document]] * 2, 64, run.writer.pad)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_the_loss_falls(tmp_path: Path, optimizer: str) -> None:
    run = Run(plan(tmp_path, optimizer))
    run.progress.seconds = 10
    losses = [run.step(batch(run)) for _ in range(12)]
    assert losses[-1] < 0.5 * losses[0]


def test_a_resumed_run_goes_on_as_the_first_would_have(tmp_path: Path) -> None:
    first = Run(plan(tmp_path))
    assert not first.resume()
    first.progress.seconds = 30
    first.step(batch(first))
    first.save()
    expected = [first.step(batch(first)) for _ in range(2)]
    second = Run(plan(tmp_path))
    assert second.resume()
    assert second.progress.seconds == 30
    assert [second.step(batch(second)) for _ in range(2)] == pytest.approx(expected, rel=1e-2)
    assert list(tmp_path.glob("*.part")) == []


def test_a_resumed_run_takes_the_new_rates(tmp_path: Path) -> None:
    first = Run(plan(tmp_path))
    first.step(batch(first))
    first.save()
    second = Run(replace(plan(tmp_path), matrix_rate=1e-3))
    assert second.resume()
    assert [group["peak"] for group in second.optimizers[0].param_groups] == [1e-3]


def test_the_schedule_warms_up_stays_and_ends_at_zero(tmp_path: Path) -> None:
    given = plan(tmp_path)
    assert 0 < schedule(0.0, given) < 0.1
    assert schedule(0.5 * (1 - given.decay_share), given) == 1.0
    assert schedule(1.0, given) == 0.0
    assert schedule(1.0 - given.decay_share / 2, given) == pytest.approx(0.5)
