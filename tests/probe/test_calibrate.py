"""The real library measures this machine, in small."""

import dataclasses
import sys
from pathlib import Path

import pytest

from penjing.probe import calibrate, machine, measure
from penjing.probe.calibrate import Calibration, Product
from penjing.probe.machine import Machine
from penjing.progress import Progress


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    return machine.read(gpus=False)


def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str = "") -> None:
    """The measuring process with a budget of nothing: every part runs, of the types only those that always do."""
    script = tmp_path / "small.py"
    script.write_text(
        "import sys\nfrom penjing.probe import disk, measure\n"
        "measure.LEAST = measure.MOST = 16 << 20\nmeasure.ENOUGH = measure.PATIENCE = 0.02\n"
        f"disk.read_rate.__defaults__ = (8 << 20,)\nmeasure.TYPES = ('Q8_0', 'Q4_K')\n{body}\n"
        "sys.exit(measure.main())\n"
    )
    monkeypatch.setattr(calibrate, "COMMAND", (sys.executable, str(script)))


def test_measured_kept_and_found_again(here: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert calibrate.kept(here) is None
    small(monkeypatch, tmp_path)
    heard: list[Progress] = []
    made = calibrate.calibrate(here, heard.append)
    assert calibrate.kept(here) == made
    assert [one.fraction for one in heard] == sorted(one.fraction for one in heard)
    assert {"disk", "memory", "multiplying"} <= {one.stage for one in heard}
    assert set(made.matmul) == {"Q8_0", "Q4_K"}
    assert made.threads == here.performance_cores
    for product in (*made.matmul.values(), made.attention):
        assert 1e8 < product.prefill < 1e15
        assert 1e7 < product.decode < 1e13
        assert 1e6 < product.few < 1e13
    assert [size for size, _ in made.reading] == sorted(size for size, _ in made.reading)
    assert made.reading[-1][1] == made.bandwidth
    assert 1e8 < made.bandwidth < 1e13
    assert 1e8 < made.bandwidth_single < 1e13
    assert 0 < made.operation < 0.1
    assert [path.name for path in (tmp_path / "home").rglob("*.part")] == []


def test_another_machine_or_library_is_measured_anew(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = dataclasses.replace(here, performance_cores=here.performance_cores + 1)
    richer = dataclasses.replace(here, memory_available=here.memory_available - 1)
    assert calibrate.identity(fewer) != calibrate.identity(here) == calibrate.identity(richer)
    before = calibrate.identity(here)
    monkeypatch.setattr(calibrate, "library_version", lambda: "another")
    assert calibrate.identity(here) != before


@pytest.mark.parametrize("content", [b"", b"{}", b'{"machine": 3}', b"\xff"])
def test_a_damaged_file_is_as_good_as_none(here: Machine, content: bytes) -> None:
    path = calibrate.place(here)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert calibrate.kept(here) is None


def test_a_measurement_that_fails_says_why(here: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, tmp_path, "raise MemoryError('no room at all')")
    with pytest.raises(calibrate.CalibrationFailed, match="no room at all"):
        calibrate.calibrate(here)
    assert calibrate.kept(here) is None


def test_a_measurement_that_hangs_is_given_up(here: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "PATIENCE", 0.2)
    small(monkeypatch, tmp_path, "import time; time.sleep(60)")
    with pytest.raises(calibrate.CalibrationFailed):
        calibrate.calibrate(here)


def test_cancelled_by_its_listener(here: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tired(progress: Progress) -> None:
        raise KeyboardInterrupt

    small(monkeypatch, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        calibrate.calibrate(here, tired)
    assert calibrate.kept(here) is None


def test_noisy() -> None:
    quiet = Calibration("", "", "", 1, 1, 1, {}, Product(1, 1, 1), ((1, 1),), 1, None, 0.01, 0.02, 9)
    assert not quiet.noisy
    assert dataclasses.replace(quiet, spread=0.5).noisy
    assert dataclasses.replace(quiet, load=0.5).noisy


def test_weights_are_larger_than_the_cache() -> None:
    assert measure.weights(0) <= measure.LEAST
    assert measure.weights(1 << 40) <= measure.MOST
