"""The training loop: it learns, packs without leaks, stops early, and goes on after any end with the same losses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleet.adversity import small_disk
from penjing.errors import DiskFull, SettingError
from penjing.progress import Progress
from penjing.shrink.checkpoints import CheckpointDamaged, NothingToResume, read
from penjing.shrink.packing import Example, passes
from penjing.shrink.regime import Regime
from penjing.shrink.training import AnotherRun, LossNotFinite, NothingToLearn, Training, next_token
from tiny_torch import tiny

extras = pytest.mark.extras
REGIME = Regime(steps=24, rate=5e-3, batch=4, save_every=4, look_every=4, patience=0, precision="f32")


def texts(count: int = 12, seed: int = 0) -> list[Example]:
    random = np.random.default_rng(seed)
    return [Example.of(random.integers(3, 64, random.integers(4, 20)).tolist()) for _ in range(count)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch": 0}, {"steps": 0}, {"rate": 0.0}, {"warmup": 1.0}, {"decay": "odd"}, {"precision": "f8"},
        {"steps": -1}, {"optimizer": "sgd"},
    ],
)  # fmt: skip
def test_a_regime_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        Regime(**wrong)


@extras
@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("llama", {}), ("qwen2", {}), ("qwen3", {}), ("phi3", {}), ("glm4", {}),
        ("gemma2", {"query_pre_attn_scalar": 8, "sliding_window": 8}),
        ("gemma3_text", {"query_pre_attn_scalar": 8, "sliding_window": 8}),
    ],
)  # fmt: skip
def test_no_example_sees_its_neighbour(kind: str, changes: dict[str, Any]) -> None:
    import torch

    model = tiny(kind, **changes).eval()
    given = texts(9)
    (packed,) = passes(given)
    assert len(packed.tokens) < len(given)
    with torch.no_grad():
        alone = sum(float(next_token(model, passes([each])[0])) for each in given)
        assert float(next_token(model, packed)) == pytest.approx(alone, rel=1e-5)


@extras
def test_gradients_do_not_depend_on_passes_or_packing() -> None:
    import torch

    weights = []
    for regime in (REGIME, replace(REGIME, accumulate=3), replace(REGIME, pack=False)):
        model = tiny()
        Training(model, texts(), replace(regime, steps=6)).run()
        weights.append(torch.cat([each.flatten() for each in model.parameters()]))
    assert torch.allclose(weights[0], weights[1], atol=2e-5)
    assert torch.allclose(weights[0], weights[2], atol=2e-5)


@extras
def test_it_learns_by_heart() -> None:
    outcome = Training(tiny(), texts(8), replace(REGIME, steps=150, rate=1e-2)).run()
    assert outcome.why == "steps"
    assert outcome.state.losses[-1] < 0.05 < outcome.state.losses[0]


@extras
def test_it_ends_where_what_is_held_out_gets_no_better_and_has_the_best_weights(tmp_path: Path) -> None:
    for folder in (tmp_path / "run", None):
        training = Training(
            tiny(), texts(6), replace(REGIME, steps=400, patience=2), heldout=texts(6, seed=9), folder=folder
        )
        outcome = training.run()
        looks = dict(outcome.state.looks)
        assert outcome.why == "stale"
        assert outcome.state.step < 400
        assert looks[outcome.chosen] == min(looks.values())
        assert training.look() == pytest.approx(looks[outcome.chosen], rel=1e-6)


@extras
def test_minutes_end_it_at_a_rate_of_nothing() -> None:
    outcome = Training(tiny(), texts(), replace(REGIME, steps=0, minutes=0.004)).run()
    assert outcome.why == "minutes"
    assert outcome.state.seconds >= 0.24


@extras
@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_what_stops_it_loses_nothing(tmp_path: Path, kind: type[BaseException]) -> None:
    whole = tiny()
    wanted = Training(whole, texts(), REGIME).run().state.losses

    def stop(progress: Progress) -> None:
        if progress.fraction > 0.4:
            raise kind

    model = tiny(attention_dropout=0.0)
    with pytest.raises(kind):
        Training(model, texts(), REGIME, folder=tmp_path).run(stop)
    again = Training(tiny(seed=3), texts(), REGIME, folder=tmp_path)
    assert again.resume() == 10
    assert again.run().state.losses == wanted
    assert same(again.model, whole)


def same(one: Any, other: Any) -> bool:
    import torch

    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from test_training import REGIME, texts
from tiny_torch import tiny
from dataclasses import replace
from penjing.shrink.training import Training
import time
folder, slow = Path(sys.argv[1]), float(sys.argv[2])
regime = replace(REGIME, save_every=2)
training = Training(tiny(attention_dropout=0.1), texts(), regime, folder=folder, heldout=texts(4, 9))
if sys.argv[3] == "resume":
    training.resume()
outcome = training.run(lambda progress: time.sleep(slow))
print(*outcome.state.losses)
torch.save(training.model.state_dict(), folder / "end")
"""


def command(folder: Path, slow: float, how: str) -> list[str]:
    return [sys.executable, "-c", SCRIPT, str(folder), str(slow), how]


@extras
def test_killed_and_resumed_it_reaches_the_same_weights(tmp_path: Path) -> None:
    import torch

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, Path(__file__).parents[:2]))}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    wanted = subprocess.run(command(whole, 0, "new"), env=environment, capture_output=True, check=True).stdout
    child = subprocess.Popen(command(killed, 0.2, "new"), env=environment)
    while not list(killed.glob("step-*[4-9].pt")):
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (killed / "end").exists()
    done = subprocess.run(command(killed, 0, "resume"), env=environment, capture_output=True, check=True).stdout
    assert done == wanted
    one, other = (torch.load(folder / "end") for folder in (whole, killed))
    assert all(torch.equal(one[name], other[name]) for name in one)


@extras
@extras
def test_a_disk_that_fills_up_is_told_with_what_is_needed_and_costs_nothing(tmp_path: Path) -> None:
    plain = Training(tiny(), texts(), REGIME, folder=tmp_path / "plain").run()
    with small_disk(tmp_path / "disk", 1_200_000):
        folder = tmp_path / "disk" / "states"
        full: list[Path] = []

        def fill(progress: Progress) -> None:
            if progress.fraction > 0.4 and not full:
                full.append(folder.parent / "others")
                with full[0].open("wb", buffering=0) as stream, suppress(OSError):
                    while True:
                        stream.write(bytes(4096))

        with pytest.raises(DiskFull, match=r"[1-9]\d\d\.\d KB needed, 0 B free"):
            Training(tiny(), texts(), REGIME, folder=folder).run(fill)
        assert {path.name for path in folder.iterdir()} == {"step-00000004.pt", "step-00000008.pt"}
        full[0].unlink()  # its own states do not count against it
        again = Training(tiny(), texts(), REGIME, folder=folder)
        assert again.resume() == 8
        assert again.run().state.losses == plain.state.losses


@extras
def test_another_run_is_not_resumed(tmp_path: Path) -> None:
    Training(tiny(), texts(), replace(REGIME, steps=4), folder=tmp_path, identity={"data": "a"}).run()
    for regime, data, name in ((REGIME, "b", "data"), (replace(REGIME, rate=1e-4), "a", "rate")):
        with pytest.raises(AnotherRun, match=name):
            Training(tiny(), texts(), regime, folder=tmp_path, identity={"data": data}).resume()
    longer = Training(tiny(), texts(), replace(REGIME, steps=8), folder=tmp_path, identity={"data": "a"})
    assert longer.resume() == 4
    assert longer.run().state.step == 8


@extras
def test_a_damaged_checkpoint_is_named_and_an_older_one_taken(tmp_path: Path) -> None:
    Training(tiny(), texts(), REGIME, folder=tmp_path).run()
    older, newest = sorted(tmp_path.glob("step-*.pt"))
    newest.write_bytes(newest.read_bytes()[:1000])
    training = Training(tiny(), texts(), REGIME, folder=tmp_path)
    with pytest.raises(CheckpointDamaged, match=newest.name):
        training.resume()
    assert training.resume(older) == 20
    with pytest.raises(NothingToResume):
        read(tmp_path / "absent.pt")


@extras
def test_what_cannot_be_learned_is_told() -> None:
    unlearned = [replace(each, learned=np.zeros_like(each.learned)) for each in texts()]
    with pytest.raises(NothingToLearn):
        Training(tiny(), unlearned, REGIME)
    model = tiny()
    model.lm_head.weight.data[5] = float("inf")
    with pytest.raises(LossNotFinite):
        Training(model, texts(), REGIME).run()
