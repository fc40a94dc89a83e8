"""What a person may set of the engine. None leaves a value to `derive`, which says why it chose what it chose.

Does not know: models, machines, the library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penjing.errors import SettingError
from penjing.settings import one_of

DEVICES = ("auto", "cpu", "cuda", "metal", "vulkan")
KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
SCHEDULERS = ("llama.cpp", "penjing")
ENGINES = ("llamacpp", "openvino", "mlx")
POWERS = ("max", "balanced", "eco")
LOG_LEVELS = ("error", "warning", "info", "debug")
POSITIVE = ("max_context", "parallel", "threads", "batch", "ubatch")
SWITCHES = ("flash_attention", "embeddings", "mmap", "context_shift", "keep_conversations")
SOURCE = "the engine options"
NO_PROJECTOR = "none"
"""For `mmproj`: also where one lies beside the model."""
NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Beside:
    """A LoRA adapter: a GGUF file or a folder in peft's form. One with a `name` is used by requests that ask for it
    (`MODEL:NAME`), one without is always on."""

    path: str
    weight: float = 1.0
    name: str = ""

    @property
    def entry(self) -> str:
        """As it stands in `EngineOptions.lora`."""
        return "=".join(filter(None, (self.name, self.path, str(self.weight))))

    @property
    def at_first(self) -> float:
        """The weight in questions that say nothing of adapters."""
        return 0.0 if self.name else self.weight


@dataclass(frozen=True)
class EngineOptions:
    """`max_context`, `batch` and `ubatch` in tokens; `rope_scale` stretches the trained context that many times;
    `lora` holds adapters, each `PATH`, `PATH=WEIGHT` or `NAME=PATH`, where requests ask for NAME. `engine` is the kind
    of engine, of ENGINES. `scheduler` decides what is computed when: llama.cpp's own server, or penjing's scheduler on
    its kernels; `library` is the name of one of `native.libraries`, for the second. That alone knows `max_cpu` (percent
    of the cores' time), `power` (of POWERS), `draft` (a MODEL that guesses) and `keep_conversations` (on disk).
    `mmproj` is the file that gives a model eyes (NO_PROJECTOR for none; else what lies beside the model).
    `context_shift`: a conversation that is full forgets its oldest tokens. Raises SettingError for a value that cannot
    be."""

    max_context: int | None = None
    parallel: int | None = None
    threads: int | None = None
    batch: int | None = None
    ubatch: int | None = None
    flash_attention: bool | None = None
    kv_type: str | None = None
    rope_scale: float | None = None
    device: str = "auto"
    gpu_layers: int | None = None
    embeddings: bool = False
    lora: tuple[str, ...] = ()
    mmproj: str | None = None
    mmap: bool = True
    engine: str | None = None
    scheduler: str | None = None
    library: str | None = None
    max_cpu: int | None = None
    power: str | None = None
    draft: str | None = None
    context_shift: bool | None = None
    keep_conversations: bool | None = None
    log_level: str = "info"

    def __post_init__(self) -> None:
        for name in POSITIVE:
            self._number(name, 1, "a whole number of at least 1")
        self._number("gpu_layers", 0, "a whole number of at least 0")
        self._number("max_cpu", 1, "a percentage (1 to 100)")
        if (self.max_cpu or 0) > 100:
            raise SettingError(name="max_cpu", value=self.max_cpu, wanted="a percentage (1 to 100)", source=SOURCE)
        self._among("device", DEVICES)
        self._among("log_level", LOG_LEVELS)
        for name, known in (("scheduler", SCHEDULERS), ("engine", ENGINES), ("kv_type", KV_TYPES), ("power", POWERS)):
            if getattr(self, name) is not None:
                self._among(name, known)
        scale: object = self.rope_scale
        number = isinstance(scale, int | float) and not isinstance(scale, bool)
        if scale is not None and not (number and 1 <= float(str(scale)) <= 64):
            raise SettingError(name="rope_scale", value=scale, wanted="a number between 1 and 64", source=SOURCE)
        for name in SWITCHES:
            value = getattr(self, name)
            if not isinstance(value, bool) and not (name not in ("embeddings", "mmap") and value is None):
                raise SettingError(name=name, value=value, wanted="true or false", source=SOURCE)
        mmproj: object = self.mmproj
        if mmproj is not None and not (isinstance(mmproj, str) and mmproj):
            raise SettingError(name="mmproj", value=mmproj, wanted="a .gguf file, or none", source=SOURCE)
        lora: object = self.lora
        if not isinstance(lora, tuple) or not all(isinstance(entry, str) for entry in lora):
            raise SettingError(
                name="lora", value=lora, wanted="a list of PATH, PATH=WEIGHT or NAME=PATH", source=SOURCE
            )

        names = [each.name for each in self.adapters if each.name]
        if len(set(names)) < len(names):
            raise SettingError(name="lora", value=lora, wanted="adapters of different names", source=SOURCE)

    @property
    def adapters(self) -> tuple[Beside, ...]:
        """The LoRA adapters, in their order, which is that of their ids."""
        return tuple(_adapter(entry) for entry in self.lora)

    def _number(self, name: str, least: int, wanted: str) -> None:
        value = getattr(self, name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise SettingError(name=name, value=value, wanted=wanted, source=SOURCE)

    def _among(self, name: str, known: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in known:
            raise SettingError(name=name, value=value, wanted=one_of(known), source=SOURCE)


def _adapter(entry: str) -> Beside:
    """
    >>> _adapter("a.gguf"), _adapter("a.gguf=0.5")
    (Beside(path='a.gguf', weight=1.0, name=''), Beside(path='a.gguf', weight=0.5, name=''))
    >>> _adapter("pirate=a.gguf=0.5"), _adapter("./odd=name.gguf").path
    (Beside(path='a.gguf', weight=0.5, name='pirate'), './odd=name.gguf')
    """
    path, equals, last = entry.rpartition("=")
    try:
        weight = float(last) if equals else 1.0
    except ValueError:
        path, equals, weight = entry, "", 1.0
    path = path if equals else entry
    name, equals, rest = path.partition("=")
    return Beside(rest, weight, name) if equals and rest and NAME.fullmatch(name) else Beside(path, weight)
