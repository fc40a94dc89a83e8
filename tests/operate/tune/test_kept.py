from pathlib import Path

import pytest

from penjing.operate.tune import kept
from penjing.operate.tune.kept import Figures, Tuned
from penjing.operate.tune.report import page
from penjing.operate.tune.ways import Way
from penjing.plan.report.frame import About
from penjing.probe.machine import Machine

USUAL = Figures(Way("llamacpp", "llama.cpp", "prebuilt"), 100.0, 10.0, 20.0, ((100.0, 10.0, 20.0),), 1.0)
BETTER = Figures(Way("openvino", threads=4), 300.0, 9.0, 30.0, ((290.0, 9.0, 29.0), (310.0, 9.0, 31.0)), 0.95)
BROKEN = Figures(Way("mlx"), error="it does not start")
TUNED = Tuned(
    "mine", "2026-01-01T00:00:00+00:00", 12.0, {"chat": USUAL.way, "prefill": BETTER.way}, (USUAL, BETTER, BROKEN)
)
MACHINE = Machine("Linux", "a processor", frozenset(), 4, 8, 4, 1 << 34, 1 << 34)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    return path


def test_it_is_kept_for_this_machine_and_model(model: Path, tmp_path: Path) -> None:
    assert not kept.any_kept()
    kept.keep(TUNED, MACHINE, (model, model))
    assert kept.any_kept()
    moved = model.rename(tmp_path / "moved.gguf")
    assert kept.read(MACHINE, moved) == TUNED
    moved.write_bytes(b"GGUF" + bytes(99))
    assert kept.read(MACHINE, moved) is None
    assert kept.read(MACHINE, tmp_path / "gone") is None


def test_another_machine_has_its_own(model: Path) -> None:
    kept.keep(TUNED, MACHINE, (model,))
    other = Machine("Linux", "a processor", frozenset(), 2, 2, 2, 1 << 34, 1 << 34)
    assert kept.read(other, model) is None


def test_it_is_forgotten(model: Path) -> None:
    kept.keep(TUNED, MACHINE, (model,))
    assert kept.forget(MACHINE, (model,))
    assert not kept.forget(MACHINE, (model,))
    assert kept.read(MACHINE, model) is None


def test_a_damaged_one_is_passed_over(model: Path) -> None:
    kept.keep(TUNED, MACHINE, (model,))
    kept.place(MACHINE, model).write_bytes(b"{")
    assert kept.read(MACHINE, model) is None


def test_one_workload_counts_where_one_was_asked_for() -> None:
    import msgspec

    assert TUNED.way("chat") == USUAL.way
    assert TUNED.way("many") is None
    asked = msgspec.structs.replace(TUNED, wanted="prefill")
    assert asked.way("chat") == BETTER.way


def test_the_page_shows_all_in_both_languages() -> None:
    made = page(About("mine", "mine", "penjing tune", TUNED.when, "1"), TUNED, "zh")
    assert made.count("<svg") >= 3
    for part in ("openvino", "4 threads", "it does not start", "Chosen", "选定", "3.00"):
        assert part in made
