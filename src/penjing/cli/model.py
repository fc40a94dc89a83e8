"""From what a person typed to an engine: the options all verbs that run a model share, and how they are opened.

    MODEL, --bits, --remote-key  ->  [model]   `Chosen`
    --max-context, --threads ... ->  [engine]  `EngineOptions`

Does not know: what is done with the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from penjing.cli.verb import argument, option
from penjing.errors import Unsupported
from penjing.settings import DEFAULT, load

if TYPE_CHECKING:
    from pathlib import Path

    from penjing.engines.engine import Engine
    from penjing.engines.llamacpp import EngineOptions
    from penjing.operate.supervise import Change

SECTIONS = ("model", "engine", "serve", "chat")


@dataclass(frozen=True)
class Chosen:
    """Which model. `name` is a name, a path or a URL; `bits` the quantization of a checkpoint; `remote_key` and
    `remote_model` go to a URL."""

    name: str = "guide"
    bits: int | None = None
    remote_key: str = ""
    remote_model: str = ""

    @property
    def remote(self) -> bool:
        """Whether it is somebody else's server."""
        return self.name.startswith(("http://", "https://"))


@dataclass(frozen=True)
class Opened:
    """An engine that is not started yet. `file` is the GGUF it will load, None for a URL."""

    engine: Engine
    chosen: Chosen
    file: Path | None = None


def tell_unheeded(engine: Engine) -> None:
    """Warn where a started engine differs from what was asked for; `--explain` tells the rest."""
    from penjing.cli import talk
    from penjing.engines.llamacpp import LlamaCpp
    from penjing.operate.supervise import Supervised

    inner = engine.engine if isinstance(engine, Supervised) else engine
    if isinstance(inner, LlamaCpp) and inner.derived is not None:
        for choice in inner.derived.unheeded:
            talk.warn("{name} is {value}: {reason}", name=choice.name, value=choice.value, reason=choice.why())


def model_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb MODEL and the options of the engine."""
    for add in reversed(_OPTIONS):
        verb = add(verb)
    return verb


_OPTIONS = (
    argument("model", metavar="[MODEL|URL]"),
    option(
        "--bits", metavar="4|8|16|32", help="Quantize a checkpoint to so many bits a weight (once, kept in the cache)."
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
    option("--lora", metavar="PATH[=WEIGHT]", multiple=True, help="A LoRA adapter (GGUF); may be given again."),
    option("--remote-key", metavar="KEY", help="The key a URL asks for."),
    option("--remote-model", metavar="NAME", help="Which of a URL's models."),
    option("--log-level", metavar="LEVEL", help="error, warning, info or debug."),
)
CHOSEN = ("bits", "remote_key", "remote_model")
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
    "embeddings",
    "log_level",
]


def chosen(given: dict[str, Any]) -> Chosen:
    """The model, from the command line and the settings."""
    return load(Chosen, "model", {"name": given.get("model"), **{name: given.get(name) for name in CHOSEN}}).value


def engine_options(given: dict[str, Any], **fallback: Any) -> EngineOptions:
    """The engine's options, from the command line and the settings; `fallback` for what neither names."""
    from penjing.engines.llamacpp import EngineOptions

    loaded = load(EngineOptions, "engine", {name: given.get(name) for name in ENGINE})
    left = {name: value for name, value in fallback.items() if loaded.sources[name] == DEFAULT}
    return replace(loaded.value, **left)


def open_engine(chosen: Chosen, options: EngineOptions, hear: Callable[[Change], None] | None = None) -> Opened:
    """An engine for the model, not started; a checkpoint is converted first, with its progress on stderr. `hear` is
    told when the engine ends and comes back.

    Raises ModelError, SettingError, DiskFull before anything runs.
    """
    if chosen.remote:
        from penjing.engines.remote import Remote

        if chosen.bits is not None:
            raise Unsupported(feature="--bits", model=chosen.name)
        remote = Remote(
            chosen.name, name=chosen.remote_model or "remote", key=chosen.remote_key, model=chosen.remote_model
        )
        return Opened(remote, chosen)
    from penjing.cli.progress import shown
    from penjing.engines.llamacpp import LlamaCpp
    from penjing.operate.supervise import Supervised
    from penjing.store.resolve import resolve

    with shown() as report:
        found = resolve(chosen.name, bits=chosen.bits, progress=report)
    return Opened(Supervised(LlamaCpp(found.path, found.name, options), hear=hear), chosen, found.path)
