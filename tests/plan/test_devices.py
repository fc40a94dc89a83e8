import math
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.plan import devices
from penjing.plan.devices import ASSUMED, GIB, Device
from penjing.probe.instructions import MEANS

ALL = list(devices.catalogue().values())


@pytest.mark.parametrize(
    ("text", "name", "gigabytes"),
    [
        ("Snapdragon 888", "Snapdragon 888", 8),
        ("snapdragon888", "Snapdragon 888", 8),
        ("骁龙 8 Gen 3", "Snapdragon 8 Gen 3", 12),
        ("高通骁龙8Gen3 手机 16G", "Snapdragon 8 Gen 3", 16),
        ("第三代骁龙8", "Snapdragon 8 Gen 3", 12),
        ("8GB Android phone", "Android phone", 8),
        ("Android phone with 6 GB RAM", "Android phone", 6),
        ("安卓手机 12GB 内存", "Android phone", 12),
        ("iPhone 15 Pro", "Apple A17 Pro", 8),
        ("iphone15promax", "Apple A17 Pro", 8),
        ("iPhone 15", "Apple A16", 6),
        ("iPhone 16 Plus", "Apple A18", 8),
        ("树莓派 5", "Raspberry Pi 5", 8),
        ("树莓派5 4GB", "Raspberry Pi 5", 4),
        ("ＲＰｉ　５", "Raspberry Pi 5", 8),
        ("raspberry-pi-4", "Raspberry Pi 4", 4),
        ("Mac mini", "Apple M4", 16),
        ("M2", "Apple M2", 16),
        ("8 Elite", "Snapdragon 8 Elite", 12),
        ("Jetson AGX Orin 64GB", "Jetson AGX Orin", 64),
        ("Samsung Galaxy S24 Ultra 12GB", "Snapdragon 8 Gen 3", 12),
        ("天玑9300", "Dimensity 9300", 12),
        ("笔记本电脑", "Laptop DDR4", 16),
    ],
)
def test_found_by_what_people_type(text: str, name: str, gigabytes: int) -> None:
    found = devices.find(text)
    assert (found.name, found.memory) == (name, gigabytes * GIB)


@pytest.mark.parametrize(
    ("text", "near"), [("Snapdragon 889", "Snapdragon 888"), ("Rasbery Py 5", "Raspberry Pi 5"), ("骁龙 889", "888")]
)
def test_an_unknown_device_has_near_ones(text: str, near: str) -> None:
    with pytest.raises(devices.UnknownDevice) as caught:
        devices.find(text)
    assert near in caught.value.advice("en")
    assert text in caught.value.message("zh")


@pytest.mark.parametrize("text", ["", "  ", "?", "8GB", "Commodore 64"])
def test_nothing_like_it(text: str) -> None:
    with pytest.raises(devices.UnknownDevice):
        devices.find(text)


def test_a_name_of_several() -> None:
    with pytest.raises(devices.SeveralDevices, match="Snapdragon 8'") as caught:
        devices.find("Snapdragon 8")
    assert "Snapdragon 8 Gen 2, Snapdragon 8 Gen 3, Snapdragon 8 Elite" in caught.value.advice("en")


@given(st.text(max_size=40))
def test_any_text_is_a_device_or_an_error(text: str) -> None:
    with suppress(devices.UnknownDevice, devices.SeveralDevices):
        assert devices.find(text).memory > 0


@pytest.mark.parametrize("device", ALL, ids=lambda device: device.name)
def test_every_figure_can_be_and_names_its_source(device: Device) -> None:
    assert set(device.sources) >= {"memory", "sustained", "usable", "cores", "instructions"}
    for source in device.sources.values():
        assert source == ASSUMED or urlsplit(devices.sources()[source]).scheme in ("http", "https")
    assert 1 <= device.memory / GIB <= 128
    assert 5e9 < device.bandwidth < 1e12
    assert 0 < device.sustained < 1
    assert 0 < device.usable < 1
    assert device.fast_cores
    assert set(device.instructions) <= set(MEANS)
    assert device.kind in ("phone", "board", "computer")


def test_a_device_as_machine_and_calibration() -> None:
    phone = devices.find("Snapdragon 888")
    as_machine, expected = devices.machine(phone), devices.expected(phone)
    assert math.isclose(phone.bandwidth, 51.2e9)
    assert as_machine.performance_cores == expected.threads == 4  # the four small ones are left out
    assert as_machine.memory_available == phone.budget == 4 * GIB
    assert set(as_machine.instructions) == set(phone.instructions)
    assert expected.bandwidth < phone.bandwidth
    assert "usable" in phone.assumed
    assert devices.machine(devices.find("M4")).gpus[0].shared


def test_published_speeds_stand_beside_what_memory_allows() -> None:
    speeds = {one.model: one for one in devices.published()}
    phone = devices.find("Snapdragon 888")
    assert {one.tokens_per_second for one in speeds.values()} == {12.3, 15.7, 11.8}
    assert math.isclose(speeds["Llama 2 7B"].ceiling(phone), 51.2e9 / 6.74e9)
    assert not any(one.believable(phone) for one in speeds.values())
