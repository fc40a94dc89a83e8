"""Which of a model's quantizations this machine is given when nobody said which.

The best with 4 to 8 bits a weight (more are slower and nobody sees the difference) whose weights leave half of the free
memory to conversations and to everything else, and that answers as fast as people read where the machine was measured;
else the best that fits at all. Where a GPU holds one of 4 bits or more, the GPU's memory decides.

Quality is taken to grow with size, which holds among quantizations of one model.

Does not know: what the person will do with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from penjing.errors import ModelTooBig
from penjing.files import human
from penjing.plan.memory import largest_context, need
from penjing.plan.speed import predict
from penjing.probe import calibrate, machine, remote
from penjing.probe.facts import Model
from penjing.probe.faults import NoWeights
from penjing.probe.machine import Machine
from penjing.sources.source import Listing
from penjing.sources.variants import Variant

SPARE = 0.1
"""Share of the free memory that is left to everybody else."""
COMFORT, SHORTEST = 8192, 2048
"""Tokens of context: what is wished for, and what there must be."""
UNTRAINED = 4096
"""Tokens of context of a model whose header does not say what it was trained for."""
FOUR_BITS, EIGHT_BITS = 4.0, 8.7
"""Bits a weight: IQ4_XS has 4.25, Q8_0 8.5, and some tensors have more than the rest."""
READING = 8.0
"""Tokens a second: about 350 words a minute, faster than most people read."""
REPACKED = ("Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8")
"""Layouts that llama.cpp no longer reads: it makes them of Q4_0 itself."""
Reason = Literal["asked", "only", "checkpoint", "gpu", "comfortable", "slow", "fits", "tight"]
REASONS: tuple[Reason, ...] = ("tight", "fits", "slow", "comfortable")
"""By grade."""


@dataclass(frozen=True)
class Choice:
    """`context` in tokens is what fits beside it (0 where nobody reckoned), `free` the bytes it was reckoned with,
    `pace` the tokens a second that are likely (0.0 where the machine was not measured), and `others` how many others
    there were."""

    variant: Variant
    reason: Reason
    context: int = 0
    free: int = 0
    pace: float = 0.0
    others: int = 0


class NothingFits(ModelTooBig):
    """Facts: `path`, `needed`, `free` (human sizes), `first` (the smallest quantization)."""

    template = "{path} does not fit this machine: its smallest quantization needs {needed}, and {free} is free."
    hint = "Close programs and try again, take a smaller model, or fetch it all the same: penjing pull {path}:{first}"


def choose(listing: Listing, known: Sequence[Variant], here: Machine | None = None) -> Choice:
    """One of the variants `known` of `listing`, for the machine `here` (default: this one, now). Raises NoWeights,
    NothingFits, and what `remote.read` raises."""
    ggufs = [variant for variant in known if variant.kind == "gguf" and variant.label not in REPACKED]
    if not ggufs:
        checkpoint = next((variant for variant in known if variant.kind == "safetensors"), None)
        if checkpoint is None:
            raise NoWeights(model=str(listing.reference), path=str(listing.reference))
        return Choice(checkpoint, "checkpoint")
    if len(ggufs) == 1:
        return Choice(ggufs[0], "only")
    here = here or machine.read()
    model = header(listing, ggufs)
    on_gpu = _on_gpu(ggufs, model, here)
    return on_gpu or among(listing, ggufs, model, here.memory_available, _rate(model, here))


def header(listing: Listing, known: Sequence[Variant]) -> Model:
    """What the header of one of the GGUF variants `known` says, which holds for all of them but for their sizes."""
    return remote.read(listing, next((variant for variant in known if variant.label == "Q4_K_M"), known[0]))


def contexts(listing: Listing, known: Sequence[Variant], here: Machine | None = None) -> dict[str, int]:
    """How many tokens of context fit beside each GGUF variant in free memory, by its first file; 0 where it does not
    fit. Raises what `remote.read` raises."""
    ggufs = [variant for variant in known if variant.kind == "gguf"]
    if not ggufs:
        return {}
    model = header(listing, ggufs)
    budget = int((here or machine.read(gpus=False)).memory_available * (1 - SPARE))
    return {variant.files[0].path: Fit.of(model, variant, budget).context for variant in ggufs}


def among(listing: Listing, known: Sequence[Variant], model: Model, free: int, rate: float = 0.0) -> Choice:
    """One of the GGUF variants `known`, all of them quantizations of `model`, for `free` bytes. `rate` is what the
    machine reads of their files in a second (see `_rate`). Raises NothingFits."""
    fitting = [Fit.of(model, variant, int(free * (1 - SPARE)), rate) for variant in known]
    best = max((fit for fit in fitting if fit.context), key=lambda fit: fit.rank, default=None)
    if best is None:
        smallest = min(known, key=lambda variant: variant.bytes)
        needed = need(dataclasses.replace(model, bytes=smallest.bytes), SHORTEST).total / (1 - SPARE)
        raise NothingFits(path=str(listing.reference), needed=human(needed), free=human(free), first=smallest.label)
    pace = rate / best.variant.bytes
    return Choice(best.variant, REASONS[best.grade], best.context, free, pace, len(known) - 1)


def _on_gpu(known: Sequence[Variant], model: Model, here: Machine) -> Choice | None:
    free = max((gpu.memory_free for gpu in here.gpus if not gpu.shared), default=0)
    fitting = [Fit.of(model, variant, int(free * (1 - SPARE))) for variant in known]
    good = [fit for fit in fitting if fit.good and fit.context >= fit.wished]
    best = max(good, key=lambda fit: fit.variant.bytes, default=None)
    return Choice(best.variant, "gpu", best.context, free, 0.0, len(known) - 1) if best else None


def _rate(model: Model, here: Machine) -> float:
    """Bytes of the model's file for each second that its answers take (experts that are not asked count too); 0.0
    where this machine was not measured."""
    measured = calibrate.kept(here)
    return predict(model, measured).decode_tokens_per_s.likely * model.bytes if measured and model.tensors else 0.0


@dataclass(frozen=True)
class Fit:
    """A variant in a budget of bytes: `context` is the longest that fits (0: none), `wished` the one to have."""

    variant: Variant
    context: int
    wished: int
    roomy: bool
    quick: bool
    bits: float

    @classmethod
    def of(cls, model: Model, variant: Variant, budget: int, rate: float = 0.0) -> Fit:
        """Reckon it."""
        trained = model.context or UNTRAINED
        context = largest_context(dataclasses.replace(model, bytes=variant.bytes), budget, most=trained)
        return cls(
            variant,
            context,
            wished=min(COMFORT, trained),
            roomy=variant.bytes * 2 <= budget,
            quick=not rate or rate >= READING * variant.bytes,
            bits=variant.bytes * 8 / model.parameters if model.parameters else FOUR_BITS,
        )

    @property
    def good(self) -> bool:
        """Enough bits, and not too many."""
        return FOUR_BITS <= self.bits <= EIGHT_BITS

    @property
    def grade(self) -> int:
        """Into REASONS."""
        if self.good and self.context >= self.wished and self.roomy:
            return 3 if self.quick else 2
        return 1 if self.context >= min(SHORTEST, self.wished) else 0

    @property
    def rank(self) -> tuple[int, bool, int]:
        """The grade, and among equals the larger; of slow, of tight and of needlessly exact ones the smaller."""
        exact = self.bits > EIGHT_BITS
        larger = self.grade in (1, 3) and not exact
        return self.grade, not exact, self.variant.bytes if larger else -self.variant.bytes
