"""How long a conversation may be and how many run at once, so that everything fits the memory that is free.

The promise is honest: the KV cache has room for every slot's whole context, so no answer is ended because another
conversation grew. Only a person who asks for both a context and a number of slots may be refused.

Does not know: GPUs, threads; what is asked for beyond context and slots.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from penjing.engines.llamacpp.options import EngineOptions
from penjing.errors import ModelTooBig
from penjing.files import human
from penjing.plan import memory
from penjing.probe.facts import Model

SLOTS = 4
"""Conversations at once unless asked: a family or a small office; more cost memory, not speed."""
SPARE = 0.1
"""Share of the free memory that is left to everybody else."""
CACHE_SHARE = 0.25
"""Share of what is left after the weights that the KV cache may take unless a context was asked for, or it would be
less than comfortable: it is filled at the start, and a machine is there for other things too."""
COMFORT, SHORTEST = 8192, 512
"""Tokens: fewer slots are given before a conversation gets less than the first; below the second it is of no use."""
UNTRAINED = 4096
"""Context in tokens for a model whose header does not say what it was trained for."""
FOUR_BITS = 4.85 / 8
"""Bytes a parameter at Q4_K_M, on average (llama.cpp, quantize README)."""

TRAINED = "all that the model was trained for (times rope_scale)"
CAPPED = "{asked} was asked for, but the model was trained for {trained}: --rope-scale {scale} would stretch it"
FITS = "tokens of one conversation: what fits {free} of free memory; the model was trained for {trained}"
POOL = "tokens of KV cache ({size}): every one of {slots} conversations has its whole context"
SLOTS_DEFAULT = "conversations at once; the KV cache has room for all of them"
SLOTS_FEWER = "conversations at once; more would leave each less than {comfort} tokens"
SLOTS_FIT = "conversations at once: what fits {free} of free memory with that context"


@dataclass(frozen=True)
class Found:
    """A choice to be noted: what was asked, what was found, the template of the reason and its facts."""

    name: str
    asked: int | None
    value: int
    reason: str
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Fit:
    """`context`, `pool` in tokens; `need` in bytes."""

    context: int
    pool: int
    slots: int
    need: memory.Need
    choices: tuple[Found, ...]


def fit(model: Model, free: int, options: EngineOptions, terms: memory.Terms, draft: Model | None = None) -> Fit:
    """Context and slots that fit `free` bytes, beside a `draft` model with the same conversations. Raises ModelTooBig,
    naming what would fit."""
    if draft is not None:
        alone = fit(model, free - memory.need(draft, 1, 1, terms).total, options, terms)
        with_draft = free - memory.need(draft, alone.context, alone.slots, terms).total
        return fit(model, with_draft, options, terms)
    budget = int(free * (1 - SPARE))
    trained = int((model.context or UNTRAINED) * (options.rope_scale or 1))
    asked_slots = options.parallel
    if options.max_context is not None:
        context = min(options.max_context, trained)
        slots = asked_slots or _most_slots(model, budget, context, terms)
    else:
        slots = asked_slots or _comfortable_slots(model, budget, trained, terms)
        context = _context(model, budget, slots, trained, terms)
    need = memory.need(model, max(context, 1), slots, terms)
    if (context < min(SHORTEST, trained) and options.max_context is None) or need.total > budget:
        raise too_big(model, free, budget, terms, trained, options)
    return Fit(context, context * slots, slots, need, _choices(model, options, context, slots, need, free, trained))


def _choices(
    model: Model, options: EngineOptions, context: int, slots: int, need: memory.Need, free: int, trained: int
) -> tuple[Found, ...]:
    asked = options.max_context
    long, facts = (TRAINED if context == trained else FITS), {"free": human(free), "trained": trained}
    if asked is not None and asked > trained:
        long, facts = (
            CAPPED,
            {"asked": asked, "trained": trained, "scale": math.ceil(asked / (model.context or UNTRAINED))},
        )
        asked = None
    few = SLOTS_DEFAULT if slots == SLOTS else SLOTS_FEWER if options.max_context is None else SLOTS_FIT
    return (
        Found("context", asked, context, long, facts),
        Found("parallel", options.parallel, slots, few, {"comfort": COMFORT, "free": human(free)}),
        Found("kv_cache", None, context * slots, POOL, {"size": human(need.kv), "slots": slots}),
    )


def _most_slots(model: Model, budget: int, context: int, terms: memory.Terms) -> int:
    """As many slots as fit with `context` tokens each, 1 to SLOTS."""
    for slots in range(SLOTS, 1, -1):
        if memory.need(model, context, slots, terms).total <= budget:
            return slots
    return 1


def _comfortable_slots(model: Model, budget: int, trained: int, terms: memory.Terms) -> int:
    """As many slots as leave each a comfortable context, 1 to SLOTS."""
    for slots in range(SLOTS, 1, -1):
        if _context(model, budget, slots, trained, terms) >= min(COMFORT, trained):
            return slots
    return 1


def _context(model: Model, budget: int, slots: int, trained: int, terms: memory.Terms) -> int:
    """Tokens of each of `slots` conversations: what fits the cache's share, or as much as is comfortable of what fits
    all of `budget`; 0 where nothing fits."""
    least = memory.need(model, 1, 1, terms).total
    modest = least + int((budget - least) * CACHE_SHARE)
    longest = memory.largest_context(model, modest, slots, terms, most=trained)
    if longest >= min(COMFORT, trained):
        return longest
    return min(memory.largest_context(model, budget, slots, terms, most=trained), COMFORT)


def too_big(
    model: Model, free: int, budget: int, terms: memory.Terms, trained: int, options: EngineOptions
) -> ModelTooBig:
    """The refusal, with what would fit: a shorter context, fewer bits, or a smaller model. Numbers and flags only, so
    that it reads the same in every language."""
    context, slots = options.max_context or min(SHORTEST, trained), options.parallel or 1
    fits = []
    longest = memory.largest_context(model, budget, slots, terms, most=trained)
    if longest:
        fits.append(f"--max-context {longest}")
    if slots > 1 and memory.need(model, context, 1, terms).total <= budget:
        fits.append("--parallel 1")
    rest = memory.need(model, context, slots, terms).total - model.bytes
    smaller = int(model.parameters * FOUR_BITS)
    if smaller < model.bytes * 0.8 and smaller + rest <= budget:
        fits.append(f"--bits 4 ({human(smaller)})")
    if not fits:
        billions = max(0.0, (budget - rest) / FOUR_BITS / 1e9)
        fits.append(f"≤ {billions:.1f} B, --bits 4")
    need = memory.need(model, context, slots, terms).total
    return ModelTooBig(path=str(model.path), needed=human(need), free=human(free), fits=", ".join(fits))
