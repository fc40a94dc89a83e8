"""Which of a model's quantizations this machine is given when nobody said which: what `penjing plan` recommends.
Where a GPU holds one that hardly changes the answers, the GPU's memory decides.

Does not know: what the person will do with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from penjing.errors import ModelTooBig
from penjing.files import human
from penjing.plan import place
from penjing.plan.answer import LITTLE, UNTRAINED, Candidate, rank, recommend
from penjing.plan.memory import largest_context
from penjing.plan.offered import offered
from penjing.plan.place import SPARE, Place
from penjing.probe import calibrate, machine, remote
from penjing.probe.faults import NoWeights
from penjing.probe.machine import Machine
from penjing.sources.source import Listing
from penjing.sources.variants import Variant

REPACKED = ("Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8")
"""Layouts that llama.cpp no longer reads: it makes them of Q4_0 itself."""
Reason = Literal["asked", "only", "checkpoint", "gpu", "best", "fast", "slow", "fits", "tight"]
REASONS: Mapping[str, Reason] = {
    "only": "only",
    "best": "best",
    "fast": "fast",
    "fastest": "slow",
    "largest": "fits",
    "tight": "tight",
}
"""By the plan's own."""


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
    sample = _sample(ggufs)
    card = max((gpu.memory_free for gpu in here.gpus if not gpu.shared), default=0)
    known_here = offered(remote.read(listing, sample), sample, ggufs)
    return among(listing, known_here, place.here(here, calibrate.kept(here)), card)


def contexts(listing: Listing, known: Sequence[Variant], here: Machine | None = None) -> dict[str, int]:
    """How many tokens of context fit beside each GGUF variant in free memory, by its first file; 0 where it does not
    fit. Raises what `remote.read` raises."""
    ggufs = [variant for variant in known if variant.kind == "gguf"]
    if not ggufs:
        return {}
    model = remote.read(listing, _sample(ggufs))
    budget = int((here or machine.read(gpus=False)).memory_available * (1 - SPARE))
    most = model.context or UNTRAINED
    return {
        variant.files[0].path: largest_context(dataclasses.replace(model, bytes=variant.bytes), budget, most=most)
        for variant in ggufs
    }


def among(
    listing: Listing, known: Mapping[str, tuple[Variant, Candidate]], where: Place, gpu_memory: int = 0
) -> Choice:
    """One of `known` (see `plan.offered`) at a place, which has `gpu_memory` bytes free on a card of its own. Raises
    NothingFits."""
    candidates = [candidate for _, candidate in known.values()]
    card = recommend(candidates, dataclasses.replace(where, budget=int(gpu_memory * (1 - SPARE))))
    held = [row for row in card.rows if row.verdict == "fits" and row.quality.kl <= LITTLE]
    if held:
        best = min(held, key=rank)
        return Choice(known[best.label][0], "gpu", best.longest, gpu_memory, 0.0, len(known) - 1)
    answer = recommend(candidates, where)
    free, row = where.machine.memory_available, answer.chosen
    if row is None:
        needed = human(answer.smallest.need.total / (1 - SPARE))
        raise NothingFits(path=str(listing.reference), needed=needed, free=human(free), first=answer.smallest.label)
    measured = where.device is None
    pace = row.speed.decode_tokens_per_s.likely if measured else 0.0
    return Choice(known[row.label][0], REASONS[answer.reason], row.longest, free, pace, len(known) - 1)


def _sample(ggufs: Sequence[Variant]) -> Variant:
    """The one whose header is read; it holds for all of them but for their sizes."""
    return next((variant for variant in ggufs if variant.label == "Q4_K_M"), ggufs[0])
