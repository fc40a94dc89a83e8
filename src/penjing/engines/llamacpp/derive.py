"""From a model, a machine and what a person asked for to the worker's `Settings`, each choice with its reason.

Pure: the same facts give the same settings, and `penjing serve --explain` prints what is used, not a retelling.

Does not know: how the facts were read (`prepare`), how a worker is run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from penjing.engines.llamacpp import room
from penjing.engines.llamacpp.devices import SPARE, Device, NoGpu, choose
from penjing.engines.llamacpp.options import SOURCE, Beside, EngineOptions
from penjing.engines.llamacpp.own import own, scheduling, seeing
from penjing.engines.llamacpp.projector import Projector
from penjing.engines.llamacpp.settings import RANK, Settings
from penjing.engines.llamacpp.sheet import Choice as Choice
from penjing.engines.llamacpp.sheet import Sheet
from penjing.engines.llamacpp.template import SWITCH, silent_by_default
from penjing.errors import SettingError
from penjing.files import human
from penjing.native.libraries import Library
from penjing.plan import memory
from penjing.plan.split import most_layers
from penjing.probe.facts import Model
from penjing.probe.machine import Machine

BATCH, UBATCH = 2048, 512
"""Tokens submitted and computed at once: llama.cpp's own defaults."""
BLOCK = 32
"""Numbers in a block of a quantized KV cache; a head must be a multiple."""
PROMPT_CACHE = 8192
"""MiB of finished conversations kept at most (llama.cpp's own default), and the share of free memory they may take."""
PROMPT_CACHE_SHARE = 0.1
MIB = 1 << 20

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
    "adapters": "requests choose them: MODEL:NAME",
    "no_cache_ram": "llama.cpp would take what it kept with one adapter for what another one needs",
    "no_embeddings": "a chat model; --embeddings turns them on",
}


@dataclass(frozen=True)
class Derived:
    """The worker's `settings`, the `choices` that led to them in reading order, the memory they need, the LoRA
    `adapters`, the model's chat template, and what gives it eyes."""

    settings: Settings
    choices: tuple[Choice, ...]
    need: memory.Need
    adapters: tuple[Beside, ...] = ()
    template: str = field(default="", repr=False)
    projector: Projector | None = None

    @property
    def unheeded(self) -> tuple[Choice, ...]:
        """Choices in which a person asked for something else than they get."""
        return tuple(choice for choice in self.choices if choice.reason == room.CAPPED)


def derive(
    model: Model,
    machine: Machine,
    options: EngineOptions,
    *,
    name: str = "",
    devices: tuple[Device, ...] = (),
    library: Library | None = None,
    draft: Model | None = None,
    projector: Projector | None = None,
) -> Derived:
    """Settings for `model` on `machine`; `devices` are those the installed library can use, `library` is the one in use
    (None: the wheel's), `draft` a smaller model that guesses for it, `projector` what gives it eyes.

    Raises ModelTooBig where it does not fit, DeviceUnavailable where the device asked for is not there, SettingError
    where two options exclude each other.
    """
    sheet = Sheet()
    gpus = _gpus(sheet, options, devices)
    eyes = seeing(sheet, options, projector)
    computing = _computing(sheet, model, machine, options)
    settings = scheduling(sheet, options, library, computing, sees=eyes is not None)
    settings = own(sheet, machine, options, settings, draft)
    _adapters(sheet, options)
    free = _free(machine, gpus) - (eyes.total if eyes else 0)
    terms = memory.Terms(settings.kv_type, settings.ubatch, settings.flash_attention != "off")
    fit = room.fit(model, free, options, terms, draft)
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
        mmproj=str(eyes.path) if eyes else "",
    )
    return Derived(settings, tuple(sheet.choices), _seeing(fit.need, eyes), options.adapters, model.chat_template, eyes)


def _adapters(sheet: Sheet, options: EngineOptions) -> None:
    names = ", ".join(each.name for each in options.adapters if each.name)
    if names:
        sheet.choose("lora", None, names, REASONS["adapters"])


def _free(machine: Machine, gpus: tuple[Device, ...]) -> int:
    """Bytes; a Metal device's are the machine's."""
    return machine.memory_available + sum(gpu.memory_free for gpu in gpus if gpu.kind != "metal")


def _seeing(need: memory.Need, eyes: Projector | None) -> memory.Need:
    if eyes is None:
        return need
    return replace(need, weights=need.weights + eyes.bytes, compute=need.compute + eyes.compute)


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
