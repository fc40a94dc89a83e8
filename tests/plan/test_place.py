from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from penjing.plan import devices, place, words
from penjing.plan.answer import recommend
from penjing.probe import machine
from penjing.probe.reading import Recorded
from planned_answers import EIGHT, LAPTOP, candidates

MACHINES = Path(__file__).parents[1] / "probe" / "machines"


HIDDEN = ("memory-hidden", "macos-m2")
"""Recordings that do not tell how much memory is free; those machines are refused before (tests/probe)."""
TOLD = [path for path in sorted(MACHINES.glob("*.json")) if path.stem not in HIDDEN]


@pytest.mark.parametrize("recording", TOLD, ids=lambda path: path.stem)
def test_every_machine_that_was_not_measured_has_speeds_that_are_assumed(recording: Path) -> None:
    found = place.here(machine.read(Recorded.load(recording)))
    assert found.assumed
    assert not found.calibration.when
    assert found.device is not None
    assert 0 < found.budget <= found.machine.memory_total
    assert found.calibration.bandwidth > 1e9


def test_a_machine_of_the_catalogue_is_known_by_its_own_name() -> None:
    pi = dataclasses.replace(devices.machine(devices.find("Raspberry Pi 5")), model="Raspberry Pi 5 Model B Rev 1.0")
    assert place.resembling(pi).name == "Raspberry Pi 5"
    mac = dataclasses.replace(pi, model="Mac14,2", cpu="Apple M2")
    assert place.resembling(mac).name == "Apple M2"


def test_a_measured_machine_assumes_nothing() -> None:
    device = devices.find("Laptop DDR4")
    calibration = dataclasses.replace(devices.expected(device), when="2026-01-01T00:00:00Z")
    found = place.here(devices.machine(device), calibration)
    assert (found.assumed, found.device) == ((), None)


def test_memory_of_a_card_counts() -> None:
    here = devices.machine(devices.find("Desktop DDR5"))
    found = place.here(here, gpu_memory=10 << 30)
    assert found.budget - place.here(here).budget == found.card == 9 << 30


def test_a_card_takes_the_layers_it_has_room_for() -> None:
    where = place.here(devices.machine(devices.find("Desktop DDR5")), gpu_memory=4 << 30)
    answer = recommend(candidates(EIGHT, ("Q8_0",)), where)
    assert answer.chosen is not None
    told = words.on_card(answer, answer.chosen)
    assert told is not None
    assert re.fullmatch(r"1\d of 37 layers \(3\.\d GB\)", told.words("en"))
    assert words.on_card(dataclasses.replace(answer, place=LAPTOP), answer.chosen) is None


def test_there() -> None:
    found = place.there(devices.find("8GB Android phone"))
    assert found.budget == 4 << 30
    assert "usable" in found.assumed
    assert found.name == "Android phone"
