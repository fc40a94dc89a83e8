"""A run is as long as its computing clock says, however long that takes on the wall."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tokenizers")

import recipes.guide.train as training  # noqa: E402
from recipes.guide.pack import Batch, collate  # noqa: E402
from recipes.guide.run import Plan, Run  # noqa: E402

pytestmark = pytest.mark.extras
DATA = Path(__file__).parents[3] / "src/penjing/data/guide"


def test_the_clock_counts_processor_time_over_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.time, "process_time", lambda: 12.0)
    assert training.computed(1) == 12.0
    assert training.computed(4) == 3.0


def test_a_run_ends_when_its_computing_is_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(Plan("", str(DATA), str(tmp_path), minutes=1, layers=1, ffn=256, compile=False, early_share=0.5))
    messages = [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "2 + 2 = 4."}]
    document = run.writer.document(run.writer.conversation({"messages": messages}), thinking=False)
    one = collate([[document]], 64, run.writer.pad)

    def for_ever(*_: Any) -> Iterator[tuple[Batch, float]]:
        return ((one, 0.3 * (i + 1)) for i in itertools.count())

    ticks = itertools.count(100.0, 7.5)
    monkeypatch.setattr(training, "stream", for_ever)
    monkeypatch.setattr(training, "computed", lambda threads: next(ticks))
    training.train(run, [], [])
    assert run.progress.steps == 8  # of 7.5 seconds each
    assert run.done == 1
    early, first = (torch.load(tmp_path / name, weights_only=True)["progress"] for name in ("early.pt", "epoch1.pt"))
    assert early["steps"] == first["steps"] == 4  # half of the time; the first whole epoch
