"""The first line is what `worker --devices` printed on a machine without a GPU; the others keep its form."""

import json

import pytest

from penjing.engines.llamacpp import devices
from penjing.engines.llamacpp.devices import Device

CPU = '[{"name": "CPU", "description": "Intel Xeon", "memory_free": 7, "memory_total": 9, "gpu": false}]'


def listing(*names: str) -> str:
    rows = [{"name": name, "description": "", "memory_free": 1, "memory_total": 2, "gpu": True} for name in names]
    return json.dumps(rows)


def test_the_installed_library_has_a_processor() -> None:
    found = devices.installed()
    assert "cpu" in {device.kind for device in found}
    assert devices.installed() is found  # asked once


def test_parse() -> None:
    assert devices.parse(CPU) == (Device("CPU", "cpu", "Intel Xeon", 7, 9),)
    kinds = [device.kind for device in devices.parse(listing("CUDA0", "CUDA1", "MTL0", "Metal", "Vulkan0", "ROCm0"))]
    assert kinds == ["cuda", "cuda", "metal", "metal", "vulkan", "rocm"]


def test_choose() -> None:
    cpu, card = devices.parse(CPU)[0], devices.parse(listing("CUDA0"))[0]
    assert devices.choose("auto", (cpu,)) == ()
    assert devices.choose("cpu", (cpu, card)) == ()
    assert devices.choose("auto", (cpu, card)) == (card,)
    assert devices.choose("cuda", (cpu, card)) == (card,)
    with pytest.raises(devices.BackendMissing) as caught:
        devices.choose("metal", (cpu, card))
    assert "README" in caught.value.advice("en")
