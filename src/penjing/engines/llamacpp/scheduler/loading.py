"""A model in memory as a worker's settings want it: contexts, scheduler, and what stands beside them.

Does not know: how the settings were chosen, HTTP.
"""

from __future__ import annotations

import os
import platform
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from penjing.engines.llamacpp.scheduler.drafting import Drafter, require_same_words
from penjing.engines.llamacpp.scheduler.embedding import TOGETHER, Embedder
from penjing.engines.llamacpp.scheduler.restraint import Restraint
from penjing.engines.llamacpp.scheduler.room import Room
from penjing.engines.llamacpp.scheduler.scheduler import Scheduler
from penjing.engines.llamacpp.scheduler.shelf import Shelf
from penjing.engines.llamacpp.settings import RANK, Settings
from penjing.files import home
from penjing.native.context import MOST_SEQUENCES, Context
from penjing.native.library import library_version
from penjing.native.model import Model
from penjing.probe import processor
from penjing.probe.reading import Reading

FEWEST, MOST, SPARE_BYTES = 8, 48, 8 << 20
"""Sequences beyond the slots: conversations that rest in the cache. For each the library sets the logits of a token
aside (llama-context.cpp, `output_reserve`), all of them together no more than so many bytes."""
LOGIT = 4
"""Bytes of one."""
MEAN = "mean"
"""How models are pooled that were not made for it (`derive`)."""
SHELF, SHARE = 4 << 30, 0.05
"""Bytes of conversations on disk at most, and the share of the free disk they may take."""


def loaded(model: Model, settings: Settings) -> tuple[Scheduler, Embedder | None]:
    """The scheduler of `model`, and what turns texts into vectors where that is wanted. Raises LoadFailed,
    DraftOfAnother, WrongUse."""
    adapters = [model.adapter(path) for path, _ in settings.lora]  # before the first context
    if pools(settings):  # nothing is written with such a model
        context = embedding(model, settings)
        return Scheduler(context, settings.slots, threads=settings.threads), embedder(context, settings)
    context = context_of(model, settings, settings.pool, sequences(model, settings.slots))
    scheduler = Scheduler(
        context,
        settings.slots,
        settings.context,
        threads=settings.threads,
        shelf=shelf(settings),
        adapters=adapters,
        guesser=drafter(model, settings),
        shift=settings.shift,
        free=Room(os.cpu_count() or 1).free,
    )
    return scheduler, embedder(embedding(model, settings), settings) if settings.embeddings else None


def sequences(model: Model, slots: int) -> int:
    """How many the cache has: those that run and those that rest. Models with a state or windows keep it for each."""
    if model.recurrent or model.window:
        return slots
    spare = min(MOST, max(FEWEST, SPARE_BYTES // (LOGIT * model.vocabulary_size)))
    return min(slots + spare, MOST_SEQUENCES)


def context_of(model: Model, settings: Settings, tokens: int, sequences: int, **others: Any) -> Context:
    """A context as `settings` want it. Raises LoadFailed, WrongUse."""
    return Context(
        model,
        tokens,
        sequences,
        threads=settings.threads,
        batch=settings.batch,
        ubatch=settings.ubatch,
        kv_type=settings.kv_type,
        flash=settings.flash_attention,
        rope_scale=settings.rope_scale,
        **others,
    )


def pools(settings: Settings) -> bool:
    """Whether the model was made for nothing but numbers; one that chats has none of its own to pool by."""
    return settings.embeddings and settings.pooling != MEAN


def embedding(model: Model, settings: Settings) -> Context:
    """A context for texts that are turned into vectors, a batch of them at a time."""
    return context_of(model, settings, settings.batch, TOGETHER, embeddings=True, pooling=settings.pooling)


def embedder(context: Context, settings: Settings) -> Embedder:
    """With the adapters that are always on."""
    if settings.lora:
        model = context.model
        context.adapt([(model.adapter(path), weight) for path, weight in settings.lora if weight])
    return Embedder(context, rank=settings.pooling == RANK)


def drafter(model: Model, settings: Settings) -> Drafter | None:
    """Who guesses, where a draft model was named. Raises LoadFailed, DraftOfAnother."""
    if not settings.draft:
        return None
    draft = Model(settings.draft, mmap=settings.mmap, gpu_layers=settings.gpu_layers)
    require_same_words(model, draft)
    return Drafter(context_of(draft, settings, settings.pool, settings.slots), model.vocabulary_size)


def restraint(settings: Settings) -> Restraint | None:
    """How much of the processor is left to others, where something is."""
    restrained = settings.cores > 0 and (settings.max_cpu < 1 or settings.power != "max")
    return Restraint(settings.cores, settings.max_cpu, settings.power) if restrained else None


def shelf(settings: Settings) -> Shelf | None:
    """Where conversations of this model are kept; None where nothing is to be written, and for sealed ones."""
    if settings.private or not settings.keep:
        return None
    folder = home() / "conversations"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    budget = min(SHELF, int(shutil.disk_usage(folder).free * SHARE))
    return Shelf(folder, partial(identity, settings), budget)


def identity(settings: Settings) -> str:
    """Names all that a state depends on; another processor adds in another order. Raises CannotOpen."""
    from penjing.store.trust.digests import digest

    files = [digest(Path(path)) for path in (settings.model, *(path for path, _ in settings.lora))]
    numbers = (settings.kv_type, settings.rope_scale, settings.flash_attention, settings.gpu_layers > 0)
    return repr((files, numbers, library_version(), platform.machine(), processor.read(Reading()).name))
