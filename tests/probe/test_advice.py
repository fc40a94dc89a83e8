from dataclasses import replace
from pathlib import Path

import pytest

from penjing.probe import advice, condition, machine
from penjing.probe.calibrate import Calibration, Product
from penjing.probe.cgroup import Limits
from penjing.probe.condition import Condition
from penjing.probe.heat import Heat
from penjing.probe.machine import Machine
from penjing.probe.power import Power
from penjing.probe.reading import Recorded

FOLDER = Path(__file__).parent / "machines"
GOOD = Machine("Linux", "cpu", frozenset({"avx2"}), 8, 16, 8, 32 << 30, 20 << 30, architecture="x86_64", swap_total=1)
QUIET = Condition(Power(), Heat(), "/home", 100, 50, True)


def about(name: str) -> list[str]:
    reading = Recorded.load(FOLDER / f"{name}.json")
    return [one.about for one in advice.improve(machine.read(reading), condition.read(reading))]


def told(here: Machine = GOOD, now: Condition = QUIET) -> list[str]:
    return [f"{one.about}: {one.found} {one.next}" for one in advice.improve(here, now)]


def test_a_good_machine_is_left_alone() -> None:
    assert told() == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linux-intel-laptop", ["power", "power", "heat", "heat"]),
        ("raspberry-pi-5", ["memory", "cores", "heat"]),
        ("android-snapdragon-845", ["instructions", "memory", "power"]),
        ("macos-m1", ["power", "power", "heat"]),
        ("docker-cgroup-v1", ["memory", "cores", "limits"]),
        ("linux-x86-avx2", ["power", "power"]),
        ("linux-arm-grace", []),
    ],
)
def test_what_recorded_machines_are_told(name: str, expected: list[str]) -> None:
    assert about(name) == expected


def test_processors_that_lack_what_matters() -> None:
    (old,) = told(replace(GOOD, features=frozenset({"sse4_2"})))
    assert "AVX2" in old
    assert told(replace(GOOD, features=frozenset())) == []  # a system that does not tell is not accused
    assert "dot product" in told(replace(GOOD, architecture="aarch64", features=frozenset({"asimd"})))[0]


def test_memory_and_swap() -> None:
    small = replace(GOOD, memory_total=8 << 30, memory_available=1 << 30, swap_total=0)
    said = told(small)
    assert [line.split(":")[0] for line in said] == ["memory", "memory", "swap"]
    assert "Models of about 5.2 GB fit" in said[0]
    assert "mkswap" in said[2]
    assert "swap" not in str(told(replace(small, limits=Limits(memory=8 << 30))))  # no business of a container
    assert "memory is short" in told(replace(GOOD, swap_total=10, swap_used=9))[0]


def test_a_gpu_makes_up_for_cores() -> None:
    few = replace(GOOD, physical_cores=4)
    assert "8 are recommended" in told(few)[0]
    (card,) = machine.read(Recorded.load(FOLDER / "kubernetes-cgroup-v2.json")).gpus
    assert told(replace(few, gpus=(card,))) == []


def test_power_heat_disk_and_compiler() -> None:
    held = replace(QUIET, power=Power(frequency_allowed=1_500_000_000, frequency_most=3_000_000_000))
    assert "cpupower frequency-set -u 3.00GHz" in told(now=held)[0]
    assert "power supply" in told(now=replace(QUIET, heat=Heat(throttling="under-voltage")))[0]
    assert "nearly full" in told(now=replace(QUIET, disk_free=1))[0]
    assert "build-essential" in told(now=replace(QUIET, compiler=False))[0]


def test_calibrations() -> None:
    quiet = Calibration("", "", "", 1, 1, 1, {}, Product(1, 1, 1), ((1, 1),), 1, None, 0.01, 0.02, 9)
    assert list(advice.measured(quiet)) == []
    assert "not been measured" in next(advice.measured(None)).found
    assert "Other programs" in next(advice.measured(replace(quiet, load=0.9))).found
