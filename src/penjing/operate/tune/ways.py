"""Ways to compute a model here: each engine and library that is installed, and what may be turned about it.

Does not know: how fast any of them is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from penjing.engines import mlx
from penjing.engines.llamacpp.options import SCHEDULERS, EngineOptions
from penjing.engines.openvino import extra
from penjing.engines.openvino.engine import unreadable
from penjing.native import libraries
from penjing.probe.facts import Model
from penjing.probe.machine import Machine

TURNED = ("engine", "scheduler", "library", "threads", "ubatch", "kv_type")
"""Options that a way decides; those that a person gave stay as they are."""
UBATCHES = (256, 1024, 2048)
KV_TYPES = ("q8_0",)
BLOCK = 32
"""A head's numbers must be a multiple of so many for a quantized cache."""


@dataclass(frozen=True)
class Way:
    """Values of `EngineOptions`; None leaves one to the engine."""

    engine: str
    scheduler: str | None = None
    library: str | None = None
    threads: int | None = None
    ubatch: int | None = None
    kv_type: str | None = None

    @property
    def computes(self) -> str:
        """Who computes, in a few words: `llama.cpp prebuilt`, `penjing native-0.3.36-ab12cd`, `openvino`."""
        return " ".join(filter(None, (self.scheduler or self.engine, self.library)))

    @property
    def turned(self) -> str:
        """What is turned about it."""
        parts = (
            f"{self.threads} threads" if self.threads else "",
            f"ubatch {self.ubatch}" if self.ubatch else "",
            f"kv {self.kv_type}" if self.kv_type else "",
        )
        return ", ".join(filter(None, parts))

    def over(self, options: EngineOptions) -> EngineOptions:
        """`options` with these values where they have none of their own."""
        mine = {name: value for name, value in asdict(self).items() if value is not None}
        return replace(options, **{name: value for name, value in mine.items() if getattr(options, name) is None})


def engines(model: Model, options: EngineOptions, *, checkpoint: bool) -> tuple[Way, ...]:
    """Whatever can compute `model` here, llama.cpp's own server first; of them those that `options` allow.
    `checkpoint`: it was named as a folder of safetensors."""
    prebuilt, penjing = libraries.PREBUILT, SCHEDULERS[1]
    found = [Way("llamacpp", SCHEDULERS[0], prebuilt), Way("llamacpp", penjing, prebuilt)]
    found += [Way("llamacpp", penjing, each.name) for each in libraries.natives() if each.fits]
    if extra.present() and not unreadable(model):
        found.append(Way("openvino"))
    if mlx.present() and checkpoint:
        found.append(Way("mlx"))
    fixed = [name for name in ("engine", "scheduler", "library") if getattr(options, name) is not None]
    return tuple(each for each in found if all(getattr(each, name) == getattr(options, name) for name in fixed))


def turns(way: Way, model: Model, machine: Machine, options: EngineOptions) -> Iterator[Way]:
    """Other values of one option of `way`, those first from which most is to be had."""
    if way.engine == "mlx":
        return
    if options.threads is None:
        usual = machine.performance_cores
        counts = dict.fromkeys((machine.logical_cores, max(1, usual // 2), 1))
        yield from (replace(way, threads=count) for count in counts if count not in (way.threads, usual))
    if options.ubatch is None and way.scheduler != SCHEDULERS[0]:
        longest = model.context or UBATCHES[-1]
        yield from (replace(way, ubatch=size) for size in UBATCHES if size <= longest and size != way.ubatch)
    whole = not (model.key_length % BLOCK or model.value_length % BLOCK)
    if options.kv_type is None and whole and options.flash_attention is not False:
        yield from (replace(way, kv_type=kind) for kind in KV_TYPES if kind != way.kv_type)
