"""From what a person typed to an engine: the options all verbs that run a model share, and how they are opened.

    MODEL, --bits, --remote-key  ->  [model]   `Chosen`
    --max-context, --threads ... ->  [engine]  `EngineOptions`
    --allow-untrusted, --key-... ->            `local.Care`

Does not know: what is done with the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from penjing.cli.verb import argument, option
from penjing.errors import InputError, ModelNotFound, SettingError
from penjing.settings import DEFAULT, load, require_sections
from penjing.shrink.bits import BITS, SAID

if TYPE_CHECKING:
    from pathlib import Path
    from threading import Event

    from penjing.cli.local import Care
    from penjing.engines.engine import Engine
    from penjing.engines.llamacpp import EngineOptions
    from penjing.operate.supervise import Change
    from penjing.progress import Progress

SECTIONS = (
    "model",
    "engine",
    "engines",
    "serve",
    "phone",
    "chat",
    "bench",
    "evaluate",
    "plan",
    "prune",
    "distill",
    "finetune",
    "quantize",
    "trust",
    "seal",
    "upgrade",
    "memory",
    "hub",
)


class Misplaced(InputError):
    """Something typed that could only be ignored. Facts: `option`, `model`, `detail`."""

    template = "{option} does nothing for {model}: {detail}"
    hint = "Leave {option} out, or name another MODEL."
    code = "misplaced_option"


class NotHere(InputError):
    """A URL where only a model on this machine will do. Facts: `model`."""

    template = "{model} is a server; what can be looked into is a model on this machine."
    hint = ModelNotFound.hint
    code = "not_here"


SERVER = "how a server runs is decided where it was started."
ALWAYS_ON = "an adapter with a name is for requests to a server; without one it is always on."
LOCAL = "it is for a URL, and this model runs on this machine."


def is_url(name: str) -> bool:
    """Whether a MODEL is a server's address."""
    return name.startswith(("http://", "https://"))


@dataclass(frozen=True)
class Chosen:
    """Which model. `name` is a name, a path or a URL; `bits` the quantization of a checkpoint; `remote_key` and
    `remote_model` go to a URL."""

    name: str = "guide"
    bits: int | None = None
    remote_key: str = ""
    remote_model: str = ""

    def __post_init__(self) -> None:
        if self.bits is not None and self.bits not in BITS:
            raise SettingError(name="bits", value=self.bits, wanted=SAID, source="--bits")

    @property
    def remote(self) -> bool:
        """Whether it is somebody else's server."""
        return is_url(self.name)

    def other(self, name: str) -> Chosen:
        """Another model in its place. The key goes to no other server than the one it was given for."""
        same = self.remote and is_url(name) and urlsplit(name)[:2] == urlsplit(self.name)[:2]
        return Chosen(name, remote_key=self.remote_key if same else "")


@dataclass(frozen=True)
class Opened:
    """An engine that is not started yet. `file` is the GGUF it will load, None for a URL; `source` is what that was
    made from (itself where nothing was made). `options` is what was asked for."""

    engine: Engine
    chosen: Chosen
    file: Path | None = None
    source: Path | None = None
    options: EngineOptions | None = None


def tell_unheeded(engine: Engine) -> None:
    """Warn where a started engine differs from what was asked for; `--explain` tells the rest."""
    from penjing.cli import talk
    from penjing.engines.llamacpp import LlamaCpp
    from penjing.operate.supervise import Supervised

    inner = engine.engine if isinstance(engine, Supervised) else engine
    if isinstance(inner, LlamaCpp) and inner.derived is not None:
        for choice in inner.derived.unheeded:
            talk.warn("{name} is {value}: {reason}", name=choice.name, value=choice.value, reason=choice.why())


def require_known_sections() -> None:
    """Raises UnknownOption for a table in a settings file that nothing reads: neither a verb nor a policy."""
    require_sections(SECTIONS, more=_of_policies)


def _of_policies() -> tuple[str, ...]:
    from penjing.gateway.policies.order import steps

    return tuple(step.name for step in steps())


def model_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb MODEL and the options of the engine."""
    return argument("model", metavar="[MODEL|URL]")(engine_flags(verb))


def engine_flags(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options of the engine alone."""
    for add in reversed(_OPTIONS):
        verb = add(verb)
    return verb


_OPTIONS = (
    option(
        "--bits",
        metavar="2|3|4|5|6|8|16|32",
        help="Quantize a checkpoint to so many bits a weight (once, kept in the cache).",
    ),
    option("--max-context", metavar="TOKENS", help="Longest conversation; as much as fits where not given."),
    option("--rope-scale", metavar="FACTOR", help="Stretch the trained context that many times."),
    option("--device", metavar="NAME", help="auto, cpu, cuda, metal or vulkan."),
    option("--gpu-layers", metavar="COUNT", help="Layers on the GPU; as many as fit where not given."),
    option("--threads", metavar="COUNT", help="Threads that compute; one for each physical core where not given."),
    option("--parallel", metavar="COUNT", help="Conversations at once."),
    option("--batch", metavar="TOKENS", help="Prompt tokens handed over at once."),
    option("--ubatch", metavar="TOKENS", help="Prompt tokens computed at once."),
    option("--kv-type", metavar="TYPE", help="Number type of the KV cache: f16, q8_0, q4_0 ..."),
    option(
        "--flash-attention/--no-flash-attention", default=None, help="Fused attention; where it helps if not given."
    ),
    option("--mmap/--no-mmap", default=None, help="Map the model's file instead of reading it into memory."),
    option(
        "--lora",
        metavar="[NAME=]PATH[=WEIGHT]",
        multiple=True,
        help="A LoRA adapter (GGUF, or a folder as peft writes it), always on; with NAME where a request asks for it.",
    ),
    option(
        "--mmproj",
        metavar="FILE",
        help="What gives the model eyes (a projector); what lies beside its file where not given, none for none.",
    ),
    option("--engine", metavar="NAME", help="llamacpp, openvino or mlx; what penjing tune chose where not given."),
    option("--library", metavar="NAME", help="Which llama.cpp computes, of those that penjing engine list shows."),
    option("--scheduler", metavar="NAME", help="Who decides what is computed: llama.cpp (its own server), or penjing."),
    option("--max-cpu", metavar="PERCENT", help="Share of the cores' time that may be taken (--scheduler penjing)."),
    option("--power", metavar="NAME", help="max, balanced (half on battery or when hot) or eco (half of that)."),
    option("--draft", metavar="MODEL", help="A small model of the same family that guesses; the text is the same."),
    option(
        "--context-shift/--no-context-shift",
        default=None,
        help="A conversation that is full forgets its oldest part, instead of ending.",
    ),
    option(
        "--keep-conversations/--no-keep-conversations",
        default=None,
        help="Keep on disk what was read of conversations, for after a restart (--scheduler penjing).",
    ),
    option("--allow-untrusted", is_flag=True, default=None, help="Load it even if it is not signed, or was altered."),
    option("--key-command", metavar="COMMAND", help="Prints the key of a sealed model; it may ask a KMS."),
    option("--passphrase-file", metavar="FILE", help="Its first line is the passphrase of a sealed model."),
    option("--remote-key", metavar="KEY", help="The key a URL asks for."),
    option("--remote-model", metavar="NAME", help="Which of a URL's models."),
    option("--log-level", metavar="LEVEL", help="error, warning, info or debug."),
)
REMOTE = ("remote_key", "remote_model")
CARE = ("allow_untrusted", "key_command", "passphrase_file")
CHOSEN = ("bits", *REMOTE)
ENGINE = [
    "max_context",
    "rope_scale",
    "device",
    "gpu_layers",
    "threads",
    "parallel",
    "batch",
    "ubatch",
    "kv_type",
    "flash_attention",
    "mmap",
    "lora",
    "mmproj",
    "engine",
    "scheduler",
    "max_cpu",
    "power",
    "draft",
    "context_shift",
    "keep_conversations",
    "library",
    "embeddings",
    "log_level",
]


def chosen(given: dict[str, Any]) -> Chosen:
    """The model, from the command line and the settings. Raises Misplaced for an option that was typed and that this
    kind of model has no use for; a setting of this kind rests until there is one that has."""
    found = load(Chosen, "model", {"name": given.get("model"), **{name: given.get(name) for name in CHOSEN}}).value
    # a server embeds or not whatever is said here, so --embeddings is true or told by its first answer
    useless = {"bits", *ENGINE, *CARE} - {"embeddings"} if found.remote else set(REMOTE)
    for name, value in given.items():
        if name in useless and value is not None and value != ():
            option = "--" + name.replace("_", "-")
            raise Misplaced(option=option, model=found.name, detail=SERVER if found.remote else LOCAL)
    return found


def engine_options(given: dict[str, Any], **fallback: Any) -> EngineOptions:
    """The engine's options, from the command line and the settings; `fallback` for what neither names."""
    from penjing.engines.llamacpp import EngineOptions

    loaded = load(EngineOptions, "engine", {name: given.get(name) for name in ENGINE})
    for each in loaded.value.adapters:
        if each.name and loaded.sources["lora"].startswith("--"):
            raise Misplaced(option=f"--lora {each.name}=", model=str(given.get("model") or "guide"), detail=ALWAYS_ON)
    left = {name: value for name, value in fallback.items() if loaded.sources[name] == DEFAULT}
    return replace(loaded.value, **left)


def open_engine(
    chosen: Chosen,
    options: EngineOptions,
    hear: Callable[[Change], None] | None = None,
    stop: Event | None = None,
    care: Care | None = None,
) -> Opened:
    """An engine for the model, not started; a checkpoint is converted first, with its progress on stderr, until `stop`
    is set from another thread. `hear` is told when the engine ends and comes back. Without `care` nothing untrusted is
    loaded and nobody is asked for passphrases.

    Raises ModelError, SettingError, DiskFull and what `local.engine` raises before anything runs.
    """
    if chosen.remote:
        from penjing.engines.remote import Remote

        remote = Remote(
            chosen.name, name=chosen.remote_model or "remote", key=chosen.remote_key, model=chosen.remote_model
        )
        return Opened(remote, chosen, options=options)
    from penjing.cli import local
    from penjing.cli.fetching import found as find
    from penjing.cli.progress import shown

    care = care or local.care({}, alone=False)
    found = find(chosen.name, chosen.bits, care)
    with shown() as show:

        def report(progress: Progress) -> None:
            if stop is not None and stop.is_set():
                raise KeyboardInterrupt
            show(progress)

        path = found.make(report)
    engine = local.engine(found, found.name, options, care, path, hear, workload="chat")
    return Opened(engine, chosen, path, found.source, options)
