"""From a model, a machine and what a person asked for to the worker's `Settings`, each choice with its reason.

Pure: the same facts give the same settings, and `penjing serve --explain` prints what is used, not a retelling.

Does not know: how the facts were read (`prepare`), how a worker is run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

from penjing.engines.llamacpp import room
from penjing.engines.llamacpp.devices import SPARE, Device, NoGpu, choose
from penjing.engines.llamacpp.options import SCHEDULERS, SOURCE, Beside, EngineOptions
from penjing.engines.llamacpp.settings import RANK, Settings
from penjing.engines.llamacpp.template import SWITCH, silent_by_default
from penjing.errors import SettingError
from penjing.files import human
from penjing.language import say
from penjing.native.libraries import PREBUILT, Library
from penjing.plan import memory
from penjing.plan.split import most_layers
from penjing.probe.facts import Model
from penjing.probe.machine import Machine

T = TypeVar("T")
BATCH, UBATCH = 2048, 512
"""Tokens submitted and computed at once: llama.cpp's own defaults."""
BLOCK = 32
"""Numbers in a block of a quantized KV cache; a head must be a multiple."""
PROMPT_CACHE = 8192
"""MiB of finished conversations kept at most (llama.cpp's own default), and the share of free memory they may take."""
PROMPT_CACHE_SHARE = 0.1
MIB = 1 << 20

ASKED = "you asked for it"
REASONS = {
    "device": "what the installed library and this machine have",
    "gpu_layers": "how many of {layers} layers fit the free memory of the GPU ({free})",
    "no_gpu": "there is no GPU that the installed library can use",
    "threads": "one for each fast physical core; more would wait for the same memory",
    "kv_type": "exact; q8_0 halves the memory of the context at almost no loss",
    "rope_scale": "positions as the model was trained",
    "batch": "prompt tokens handed over at once: llama.cpp's own default",
    "ubatch": "prompt tokens computed at once: larger only helps GPUs",
    "embedding_batch": "a text to embed must be computed in one piece",
    "flash_attention": "llama.cpp uses it wherever the device has it",
    "cache_ram": "MiB for finished conversations, which then go on without being read again; a tenth of what is free",
    "mmap": "the weights stay in the file's pages, shared with other programs and loaded as needed",
    "embeddings": "the model's header says how to pool",
    "thinking": "the chat template's own default; a request may say enable_thinking",
    "scheduler": "llama.cpp's own server; --scheduler penjing takes penjing's",
    "native_scheduler": "the library in use was compiled here, and penjing's is what computes with it",
    "library": "what penjing engine use chose",
    "wheel_library": "llama.cpp's own server is only in the prebuilt one",
    "adapters": "requests choose them: MODEL:NAME",
    "no_cache_ram": "llama.cpp would take what it kept with one adapter for what another one needs",
    "no_embeddings": "a chat model; --embeddings turns them on",
}


@dataclass(frozen=True)
class Choice:
    """One setting and why: `reason` is a template for `penjing.language.say`, filled with `facts`. `overridden` when a
    person chose the value."""

    name: str
    value: object
    reason: str
    facts: dict[str, object] = field(default_factory=dict)
    overridden: bool = False

    def why(self, language: str | None = None) -> str:
        """The reason in `language` (default: the reader's)."""
        return say(self.reason, language=language, **self.facts)


@dataclass(frozen=True)
class Derived:
    """The worker's `settings`, the `choices` that led to them in reading order, the memory they need, the LoRA
    `adapters`, and the model's chat template."""

    settings: Settings
    choices: tuple[Choice, ...]
    need: memory.Need
    adapters: tuple[Beside, ...] = ()
    template: str = field(default="", repr=False)

    @property
    def unheeded(self) -> tuple[Choice, ...]:
        """Choices in which a person asked for something else than they get."""
        return tuple(choice for choice in self.choices if choice.reason == room.CAPPED)


class Sheet:
    """Collects choices while they are made."""

    def __init__(self) -> None:
        self.choices: list[Choice] = []

    def choose(self, name: str, asked: T | None, derived: T, reason: str, /, **facts: object) -> T:
        """`asked` where a person asked, else `derived` for `reason`; either is noted."""
        if asked is not None:
            self.choices.append(Choice(name, asked, ASKED, {}, overridden=True))
            return asked
        self.choices.append(Choice(name, derived, reason, facts))
        return derived


def derive(
    model: Model,
    machine: Machine,
    options: EngineOptions,
    *,
    name: str = "",
    devices: tuple[Device, ...] = (),
    library: Library | None = None,
) -> Derived:
    """Settings for `model` on `machine`; `devices` are those the installed library can use, `library` is the one in use
    (None: the wheel's).

    Raises ModelTooBig where it does not fit, DeviceUnavailable where the device asked for is not there, SettingError
    where two options exclude each other.
    """
    sheet = Sheet()
    gpus = _gpus(sheet, options, devices)
    settings = _scheduling(sheet, model, options, library, _computing(sheet, model, machine, options))
    names = ", ".join(each.name for each in options.adapters if each.name)
    if names:
        sheet.choose("lora", None, names, REASONS["adapters"])
    free = machine.memory_available + sum(gpu.memory_free for gpu in gpus if gpu.kind != "metal")
    terms = memory.Terms(settings.kv_type, settings.ubatch, settings.flash_attention != "off")
    fit = room.fit(model, free, options, terms)
    for found in fit.choices:
        sheet.choose(found.name, found.asked, found.value, found.reason, **found.facts)
    settings = replace(
        settings,
        name=name or model.name or model.path.stem,
        context=fit.context,
        pool=fit.pool,
        slots=fit.slots,
        gpu_layers=_gpu_layers(sheet, model, options, gpus, fit, terms),
        cache_ram=_cache_ram(sheet, free - fit.need.total, options),
    )
    return Derived(settings, tuple(sheet.choices), fit.need, options.adapters, model.chat_template)


def _computing(sheet: Sheet, model: Model, machine: Machine, options: EngineOptions) -> Settings:
    """Settings that do not depend on how much memory is free; the others are still zero."""
    embeddings = _embeddings(sheet, model, options)
    batch, ubatch = _batches(sheet, options, embeddings)
    flash = None if options.flash_attention is None else ("on" if options.flash_attention else "off")
    kv_type = sheet.choose("kv_type", options.kv_type, "f16", REASONS["kv_type"])
    check_kv_type(model, options, kv_type)
    return Settings(
        model=str(model.path),
        name="",
        context=0,
        pool=0,
        slots=0,
        threads=sheet.choose("threads", options.threads, machine.performance_cores, REASONS["threads"]),
        batch=batch,
        ubatch=ubatch,
        flash_attention=sheet.choose("flash_attention", flash, "auto", REASONS["flash_attention"]),
        kv_type=kv_type,
        rope_scale=float(sheet.choose("rope_scale", options.rope_scale, 1.0, REASONS["rope_scale"])),
        mmap=sheet.choose("mmap", None if options.mmap else False, True, REASONS["mmap"]),
        embeddings=embeddings,
        pooling=_pooling(model, embeddings),
        lora=tuple((each.path, each.at_first) for each in options.adapters),
        silent=_silent(sheet, model),
        log_level=options.log_level,
    )


def _scheduling(
    sheet: Sheet, model: Model, options: EngineOptions, library: Library | None, settings: Settings
) -> Settings:
    """`settings` with whose scheduler it is and what that loads. Penjing's where a library of this machine's own is in
    use, unless it cannot serve this model."""
    native = library is not None and library.native
    able = native and not (any(each.name for each in options.adapters) or settings.embeddings)
    usual, reason = (SCHEDULERS[1], "native_scheduler") if able else (SCHEDULERS[0], "scheduler")
    whose = sheet.choose("scheduler", scheduler(model, options), usual, REASONS[reason])
    if library is None or whose == SCHEDULERS[0]:
        if options.library and native:
            raise SettingError(
                name="library", value=options.library, wanted="prebuilt for llama.cpp's own server", source=SOURCE
            )
        if native:
            sheet.choose("library", None, PREBUILT, REASONS["wheel_library"])
        return replace(settings, scheduler=whose)
    sheet.choose("library", library.name if options.library else None, library.name, REASONS["library"])
    if not native:
        return replace(settings, scheduler=whose)
    return replace(settings, scheduler=whose, library=str(library.path), library_version=library.version)


def scheduler(model: Model, options: EngineOptions) -> str | None:
    """Whose scheduler was asked for; None: nobody's. Raises SettingError where it cannot serve this."""
    if options.scheduler in (None, SCHEDULERS[0]):
        return options.scheduler
    if any(each.name for each in options.adapters):
        raise SettingError(
            name="scheduler",
            value=options.scheduler,
            wanted="one that knows adapters by name: llama.cpp",
            source=SOURCE,
        )
    if options.embeddings or model.pooling not in ("", "none"):
        raise SettingError(
            name="scheduler", value=options.scheduler, wanted="one that computes embeddings: llama.cpp", source=SOURCE
        )
    return options.scheduler


def _gpus(sheet: Sheet, options: EngineOptions, devices: tuple[Device, ...]) -> tuple[Device, ...]:
    gpus = choose(options.device, devices)
    if options.gpu_layers and not gpus:
        raise NoGpu(device=options.device, layers=options.gpu_layers)
    kinds = ", ".join(dict.fromkeys(gpu.kind for gpu in gpus)) or "cpu"
    sheet.choose("device", None if options.device == "auto" else kinds, kinds, REASONS["device"])
    return gpus


def check_kv_type(model: Model, options: EngineOptions, kv_type: str) -> None:
    """Raises SettingError where llama.cpp could not keep the cache in `kv_type`."""
    if not kv_type.startswith("q"):
        return
    if options.flash_attention is False:
        raise SettingError(
            name="kv_type", value=kv_type, wanted="f32, f16 or bf16 without flash attention", source=SOURCE
        )
    if model.key_length % BLOCK or model.value_length % BLOCK:
        raise SettingError(name="kv_type", value=kv_type, wanted="f32, f16 or bf16 for this model", source=SOURCE)


def _embeddings(sheet: Sheet, model: Model, options: EngineOptions) -> bool:
    pools = model.pooling not in ("", "none")
    reason = REASONS["embeddings" if pools else "no_embeddings"]
    return sheet.choose("embeddings", True if options.embeddings else None, pools, reason)


def _pooling(model: Model, embeddings: bool) -> str:
    """The model's own; llama.cpp reranks only where it is told to."""
    if model.pooling == RANK:
        return RANK
    return "mean" if embeddings and model.pooling in ("", "none") else ""


def _batches(sheet: Sheet, options: EngineOptions, embeddings: bool) -> tuple[int, int]:
    batch = sheet.choose("batch", options.batch, BATCH, REASONS["batch"])
    if embeddings:
        return batch, sheet.choose("ubatch", options.ubatch, batch, REASONS["embedding_batch"])
    return batch, sheet.choose("ubatch", options.ubatch, min(UBATCH, batch), REASONS["ubatch"])


def _gpu_layers(
    sheet: Sheet, model: Model, options: EngineOptions, gpus: tuple[Device, ...], fit: room.Fit, terms: memory.Terms
) -> int:
    if not gpus:
        return sheet.choose("gpu_layers", None, 0, REASONS["no_gpu"])
    free = human(sum(gpu.memory_free for gpu in gpus))
    others = sum(int(gpu.memory_free * (1 - SPARE)) - fit.need.compute for gpu in gpus[1:])
    share = int(gpus[0].memory_free * (1 - SPARE)) + others
    fitting = most_layers(model, fit.context, fit.slots, share, terms)
    facts = {"layers": model.layers + 1, "free": free}
    return sheet.choose("gpu_layers", options.gpu_layers, fitting, REASONS["gpu_layers"], **facts)


def _silent(sheet: Sheet, model: Model) -> bool:
    silent = silent_by_default(model.chat_template)
    if SWITCH in model.chat_template:
        sheet.choose("thinking", None, not silent, REASONS["thinking"])
    return silent


def _cache_ram(sheet: Sheet, left: int, options: EngineOptions) -> int:
    if any(each.name for each in options.adapters):
        return sheet.choose("cache_ram", None, 0, REASONS["no_cache_ram"])
    size = max(0, min(PROMPT_CACHE, int(left * PROMPT_CACHE_SHARE) // MIB))
    return sheet.choose("cache_ram", None, size, REASONS["cache_ram"])
