"""The first line is what `native.devices` printed on a machine without a GPU; the others keep its form."""

import dataclasses
import json
from pathlib import Path

import pytest

from penjing.engines.llamacpp import devices
from penjing.engines.llamacpp.devices import Device
from penjing.engines.llamacpp.options import EngineOptions
from penjing.engines.llamacpp.prepare import prepare
from penjing.errors import EngineStartFailed
from penjing.native import libraries

CPU = '[{"name": "CPU", "description": "Intel Xeon", "memory_free": 7, "memory_total": 9, "gpu": false}]'


def listing(*names: str) -> str:
    rows = [{"name": name, "description": "", "memory_free": 1, "memory_total": 2, "gpu": True} for name in names]
    return json.dumps(rows)


def test_the_installed_library_has_a_processor() -> None:
    found = devices.of(libraries.prebuilt())
    assert "cpu" in {device.kind for device in found}
    assert all(device.memory_total > 1 << 28 for device in found)
    assert devices.of(libraries.prebuilt()) is found  # asked once


def test_a_library_that_is_none_is_told() -> None:
    with pytest.raises(EngineStartFailed):
        devices.of(libraries.Library("broken", Path(__file__), "1"))


def test_layers_go_where_the_library_that_computes_can(guide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A native library with a GPU (nobody's here, so it is told what it would say), beside the wheel's without."""
    native = libraries.Library("native-gpu", guide, "1", libraries.About("source", "1", "here", "cpu"))
    monkeypatch.setattr(libraries, "in_use", lambda: native)
    gpu = Device("CUDA0", "cuda", "", 1 << 30, 1 << 30, gpu=True)
    known = {native.name: (gpu,), "prebuilt": devices.parse(CPU)}
    monkeypatch.setattr(devices, "of", lambda library: known[library.name])
    wanted = EngineOptions(device="cuda", max_context=512)
    assert prepare(guide, "guide", wanted).settings.gpu_layers > 1
    with pytest.raises(devices.BackendMissing):
        prepare(guide, "guide", dataclasses.replace(wanted, scheduler="llama.cpp"))


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
