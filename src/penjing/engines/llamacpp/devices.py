"""The devices that a library of llama.cpp can compute on.

Which backends a library has is decided when it is built, so it is asked, in a process of its own: loading it into
this one would cost 100 MB and its threads.

Does not know: models, drivers, what is in the machine but not usable by the library.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from dataclasses import dataclass

from penjing.errors import DeviceUnavailable, EngineStartFailed
from penjing.native.libraries import Library

PATIENCE = 30.0
"""Seconds the library may take to list its devices (a first CUDA start is slow)."""
KINDS = {"cuda": "cuda", "metal": "metal", "mtl": "metal", "vulkan": "vulkan", "rocm": "rocm", "sycl": "sycl"}
"""The library's device names without their number, to ours."""
SPARE = 0.1
"""Share of a GPU's free memory left alone: fragments, the desktop, the library's own context."""


class BackendMissing(DeviceUnavailable):
    """Facts: `device`, `present` (comma-separated)."""

    template = "Device '{device}' cannot be used: the llama.cpp library that computes finds only {present}."
    hint = (
        "penjing engine build makes one with {device} where its tools are; or install the xllamacpp wheel built for it "
        "(its README lists them), or use --device auto."
    )


class NoGpu(DeviceUnavailable):
    """Facts: `device`, `layers`."""

    template = "--gpu-layers {layers} with --device {device}: there is no GPU that the installed library can use."
    hint = "Leave --gpu-layers out; penjing doctor shows what the library finds."


@dataclass(frozen=True)
class Device:
    """One device of the library: `kind` is `cpu`, `cuda`, `metal`, `vulkan` ...; memory in bytes."""

    name: str
    kind: str
    description: str = ""
    memory_free: int = 0
    memory_total: int = 0
    gpu: bool = False


def parse(text: str) -> tuple[Device, ...]:
    """Devices from what `native.devices` prints."""
    found = []
    for entry in json.loads(text):
        bare = entry["name"].rstrip("0123456789").lower()
        found.append(Device(**{**entry, "kind": KINDS.get(bare, bare)}))
    return tuple(found)


def of(library: Library) -> tuple[Device, ...]:
    """The devices of `library`, asked once. Raises EngineStartFailed where it cannot be loaded at all."""
    return _of(str(library.path), library.version)


@functools.cache
def _of(path: str, version: str) -> tuple[Device, ...]:
    command = (sys.executable, "-m", "penjing.native.devices", path, version)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
        return parse(done.stdout)
    except subprocess.CalledProcessError as error:
        raise EngineStartFailed(model="llama.cpp", detail=error.stderr.strip()[-400:]) from error
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise EngineStartFailed(model="llama.cpp", detail=str(error)) from error


def choose(wanted: str, devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """The GPUs to use; none for the processor. Raises BackendMissing for a kind the library does not have."""
    gpus = tuple(device for device in devices if device.gpu)
    if wanted == "cpu" or (wanted == "auto" and not gpus):
        return ()
    chosen = tuple(device for device in gpus if wanted in ("auto", device.kind))
    if not chosen:
        present = ", ".join(dict.fromkeys(device.kind for device in devices)) or "cpu"
        raise BackendMissing(device=wanted, present=present)
    return chosen
