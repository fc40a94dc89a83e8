"""Devices that people own: what is known of each, found by the name a person types.

`data/devices.toml` holds the figures, each with its source or the word "assumed". A device becomes the two values that
a plan is made from: the `Machine` it would be, and the `Calibration` to expect of it. Nothing in either was measured.

Does not know: models, the machine this runs on.
"""

from __future__ import annotations

import difflib
import functools
import re
import sys
import unicodedata
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any

from penjing.errors import InputError
from penjing.plan.weights import bits
from penjing.probe.calibrate import FEW, Calibration, Product
from penjing.probe.gpu import Gpu
from penjing.probe.instructions import MEANS
from penjing.probe.machine import Machine

ASSUMED = "assumed"
GIB = 1 << 30
TYPES = ("F16", "BF16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q4_0", "Q3_K", "Q2_K", "IQ4_XS", "Q5_0", "MXFP4")
"""ggml types for which a device's calibration says something: the same of each, since nothing finer is known."""
FLOP_PER_CYCLE = (("i8mm", 24.0), ("dotprod", 14.0), ("AVX2", 20.0), ("NEON", 7.0))
"""What ggml's quantized products reach on one core, by the best instruction set (assumed, from two machines that were
measured: 17 to 35 on a Xeon with AVX2 kernels, 14 on a Cortex-A76)."""
SLOW = 0.6
"""Cores below this share of the fastest one's frequency do not compute: the engine leaves them out."""
OPERATION = 5e-6
"""Seconds of one operation (assumed): starting and joining four to eight threads."""
NEAR, MOST_NEAR = 0.5, 4
"""How like a known name is (difflib's ratio), and how many of them an error tells."""
SIZE = r"(\d+)\s*(?:gib|gb|g)(?![a-z])"
EMPTY = r"\b(?:ram|memory|with|a|the|qualcomm|mediatek|samsung)\b|内存|运存|的|高通|联发科|三星"
"""Words that tell nothing of which device is meant."""
LITTLE = ("Cortex-A55", "Cortex-A510", "Cortex-A520", "Sawtooth", "Icestorm", "Blizzard", "efficiency")
"""Cores that are small whatever their frequency."""


class UnknownDevice(InputError):
    """Facts: `device`, `near` (comma-separated)."""

    template = "penjing knows no device called {device!r}."
    hint = "Near it: {near}. All: penjing probe --devices"
    code = "unknown_device"


class SeveralDevices(InputError):
    """Facts: `device`, `near` (comma-separated)."""

    template = "{device!r} may be several devices."
    hint = "Say which: {near}"
    code = "several_devices"


@dataclass(frozen=True)
class Core:
    count: int
    name: str
    ghz: float


@dataclass(frozen=True)
class Device:
    """One device. Memory in bytes, bandwidth in bytes/s; `bandwidth` is the peak, of which decoding on the processor
    reaches the share `sustained`; one program may take the share `usable` of the memory. `gpu` is `metal`, `cuda` or
    empty. `sources` names where each figure is from, `assumed` those that nobody told."""

    name: str
    kind: str
    memory: int
    bandwidth: float
    sustained: float
    usable: float
    cores: tuple[Core, ...]
    instructions: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    memories: tuple[int, ...] = ()
    gpu: str = ""
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def assumed(self) -> tuple[str, ...]:
        """The figures that rest on an assumption."""
        return tuple(name for name, source in self.sources.items() if source == ASSUMED)

    @property
    def budget(self) -> int:
        """Bytes that a model and all it needs may take."""
        return int(self.memory * self.usable)

    @property
    def fast_cores(self) -> tuple[Core, ...]:
        """Those that compute."""
        best = max(core.ghz for core in self.cores)
        return tuple(core for core in self.cores if core.ghz >= SLOW * best and core.name not in LITTLE)

    @property
    def compute(self) -> float:
        """FLOP/s of a large quantized product on the processor (assumed)."""
        per_cycle = next((flop for name, flop in FLOP_PER_CYCLE if name in self.instructions), 4.0)
        return sum(core.count * core.ghz * 1e9 for core in self.fast_cores) * per_cycle


@dataclass(frozen=True)
class Published:
    """A speed that somebody published. `parameters` of the model, `bits` of each, tokens a second, URL or `unknown`."""

    device: str
    model: str
    parameters: int
    bits: int
    tokens_per_second: float
    source: str

    def ceiling(self, device: Device) -> float:
        """Tokens a second above which memory cannot deliver all weights once a token."""
        return device.bandwidth / (self.parameters * self.bits / 8)

    def believable(self, device: Device) -> bool:
        """Whether one pass over all weights for each token is possible at that speed."""
        return self.tokens_per_second <= self.ceiling(device)


def machine(device: Device) -> Machine:
    """The machine that `device` would be with nothing else running. Available is what one program may take."""
    total = sum(core.count for core in device.cores)
    fast = sum(core.count for core in device.fast_cores)
    features = frozenset(min(MEANS[name]) for name in device.instructions if name in MEANS)
    gpus = (Gpu(device.gpu, device.name, device.memory, device.budget, shared=True),) if device.gpu else ()
    return Machine(
        system="",
        cpu=device.name,
        model=device.name,
        features=features,
        physical_cores=total,
        logical_cores=total,
        performance_cores=fast,
        memory_total=device.memory,
        memory_available=device.budget,
        gpus=gpus,
    )


def expected(device: Device) -> Calibration:
    """The calibration to expect of `device`: bandwidth from its memory, products from its cores (assumed)."""
    bandwidth = device.bandwidth * device.sustained
    attention = Product(prefill=device.compute / 2, decode=bandwidth, few=_few(16.0, bandwidth, device.compute / 2))
    return Calibration(
        machine=device.name,
        when="",
        library="",
        threads=sum(core.count for core in device.fast_cores),
        bandwidth=bandwidth,
        bandwidth_single=bandwidth,
        matmul={
            kind: Product(device.compute, bandwidth, _few(bits(kind), bandwidth, device.compute)) for kind in TYPES
        },
        attention=attention,
        reading=((0, bandwidth),),
        operation=OPERATION,
        disk=None,
        spread=0.0,
        load=0.0,
        seconds=0.0,
    )


def _few(bits: float, bandwidth: float, compute: float) -> float:
    """Bytes of weights a second with FEW tokens at once: as fast as memory delivers or the cores compute."""
    return min(bandwidth, compute / (2 * FEW) * bits / 8)


@functools.cache
def catalogue() -> dict[str, Device]:
    """All devices by name."""
    return {entry["name"]: _device(entry) for entry in _data()["device"]}


@functools.cache
def published() -> tuple[Published, ...]:
    """Speeds that were published for devices of the catalogue."""
    return tuple(Published(**entry) for entry in _data()["published"])


@functools.cache
def sources() -> dict[str, str]:
    """Key of a source to its URL."""
    return {key: entry["url"] for key, entry in _data()["sources"].items()}


def find(text: str) -> Device:
    """The device a person means: `Snapdragon 8 Gen 3`, `骁龙 8 Gen 3`, `iphone15pro`, `Raspberry Pi 5 4GB`,
    `8GB Android phone`. A size of memory in the name counts. Raises UnknownDevice, SeveralDevices."""
    memory, words = _understood(text)
    known = _names()
    exact = known.get("".join(words))
    found = {exact.name: exact} if exact else _matching(words)
    if not found:
        near = difflib.get_close_matches("".join(words), known, n=2 * MOST_NEAR, cutoff=NEAR)
        names = dict.fromkeys(known[name].name for name in near) or catalogue()
        raise UnknownDevice(device=text, near=", ".join(list(names)[:MOST_NEAR]))
    if len(found) > 1:
        raise SeveralDevices(device=text, near=", ".join(found))
    device = next(iter(found.values()))
    return replace(device, memory=memory, sources=device.sources | {"memory": "given"}) if memory else device


def _understood(text: str) -> tuple[int, tuple[str, ...]]:
    """Bytes of memory that a name tells (0 where it tells none), and its words without that.

    >>> _understood("iPhone15 Pro, 8 GB")
    (8589934592, ('iphone', '15', 'pro'))
    """
    folded = unicodedata.normalize("NFKC", text).lower()
    memory = 0
    for size in re.finditer(SIZE, folded):
        memory = int(size[1]) * GIB
    bare = re.sub(EMPTY, " ", re.sub(SIZE, " ", folded))
    return memory, tuple(re.findall(r"[a-z]+|\d+|[^\W\da-z_]+", bare))


@functools.cache
def _names() -> dict[str, Device]:
    """All names of all devices, their words put together."""
    found = {}
    for device in catalogue().values():
        for name in (device.name, *device.aliases):
            found["".join(_understood(name)[1])] = device
    return found


def _matching(words: tuple[str, ...]) -> dict[str, Device]:
    """Devices one of whose names has all of `words`; else those whose name of several words is all among `words`, the
    longest such names alone."""
    having: dict[str, Device] = {}
    among: dict[int, dict[str, Device]] = {}
    for device in catalogue().values():
        for name in (device.name, *device.aliases):
            own = _understood(name)[1]
            if words and set(words) <= set(own):
                having[device.name] = device
            if len(own) > 1 and set(own) <= set(words):
                among.setdefault(len(own), {})[device.name] = device
    return having or (among[max(among)] if among else {})


def _device(entry: dict[str, Any]) -> Device:
    figures = {name: part["value"] for name, part in entry.items() if isinstance(part, dict)}
    peak = figures.get("bandwidth") or figures["transfers"] * figures["bus"] / 8 / 1000
    memories = tuple(size * GIB for size in figures["memory"])
    return Device(
        name=entry["name"],
        kind=entry["kind"],
        aliases=tuple(entry["aliases"]),
        memory=memories[0],
        memories=memories,
        bandwidth=peak * 1e9,
        sustained=figures["sustained"],
        usable=figures["usable"],
        cores=tuple(Core(*core) for core in figures["cores"]),
        instructions=tuple(figures["instructions"]),
        gpu=figures.get("gpu", ""),
        sources={name: part["source"] for name, part in entry.items() if isinstance(part, dict)},
    )


@functools.cache
def _data() -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    text = (resources.files("penjing") / "data" / "devices.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
