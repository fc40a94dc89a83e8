from __future__ import annotations

from pathlib import Path

import pytest

from penjing.operate.measure import energy
from penjing.operate.measure.energy import UNTOLD, Meter


@pytest.fixture(autouse=True)
def no_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "NVIDIA", ("there-is-no-such-program",))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [10.0]
    monkeypatch.setattr(energy.time, "perf_counter", lambda: now[0])
    return now


def zone(root: Path, name: str, microjoules: int) -> Path:
    place = root / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "energy_uj").write_text(f"{microjoules}\n")
    (place / "max_energy_range_uj").write_text("1000000000\n")
    return place


def test_packages_add_up_and_their_parts_do_not(tmp_path: Path, clock: list[float]) -> None:
    for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"):
        zone(tmp_path, name, 5_000_000)
    meter = Meter(tmp_path, tmp_path)
    zone(tmp_path, "intel-rapl:0", 25_000_000)
    zone(tmp_path, "intel-rapl:1", 15_000_000)
    zone(tmp_path, "intel-rapl:0:0", 900_000_000)
    clock[0] += 2.0
    assert meter.read() == energy.Energy(15.0, "RAPL")


def test_a_counter_that_began_anew(tmp_path: Path, clock: list[float]) -> None:
    zone(tmp_path, "intel-rapl:0", 999_000_000)
    meter = Meter(tmp_path, tmp_path)
    zone(tmp_path, "intel-rapl:0", 4_000_000)
    clock[0] += 1.0
    assert meter.read().watts == pytest.approx(5.0)


@pytest.mark.parametrize(("status", "watts"), [("Discharging", 12.0), ("Charging", None), ("Full", None)])
def test_a_battery_that_is_emptied(tmp_path: Path, status: str, watts: float | None) -> None:
    supply = tmp_path / "BAT0"
    supply.mkdir()
    for name, text in {
        "type": "Battery",
        "status": status,
        "current_now": "1000000",
        "voltage_now": "12000000",
    }.items():
        (supply / name).write_text(text + "\n")
    assert Meter(tmp_path / "none", tmp_path).read().watts == watts


def test_where_nobody_tells(tmp_path: Path) -> None:
    assert Meter(tmp_path, tmp_path).read() == energy.Energy(None, UNTOLD)


def test_boards_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "NVIDIA", ("printf", "70.5\\n29.5\\n"))
    assert Meter(tmp_path, tmp_path).read() == energy.Energy(100.0, "nvidia-smi")
