"""What a person may set of the engine. None leaves a value to `derive`, which says why it chose what it chose.

Does not know: models, machines, the library.
"""

from __future__ import annotations

from dataclasses import dataclass

from penjing.errors import SettingError

DEVICES = ("auto", "cpu", "cuda", "metal", "vulkan")
KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
LOG_LEVELS = ("error", "warning", "info", "debug")
POSITIVE = ("max_context", "parallel", "threads", "batch", "ubatch")
SOURCE = "the engine options"


@dataclass(frozen=True)
class EngineOptions:
    """`max_context`, `batch` and `ubatch` in tokens; `rope_scale` stretches the trained context that many times;
    `lora` holds adapter paths, each `PATH` or `PATH=WEIGHT`. Raises SettingError for a value that cannot be."""

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
    mmap: bool = True
    log_level: str = "info"

    def __post_init__(self) -> None:
        for name in POSITIVE:
            self._number(name, 1, "a whole number of at least 1")
        self._number("gpu_layers", 0, "a whole number of at least 0")
        self._among("device", DEVICES)
        self._among("log_level", LOG_LEVELS)
        if self.kv_type is not None:
            self._among("kv_type", KV_TYPES)
        scale: object = self.rope_scale
        number = isinstance(scale, int | float) and not isinstance(scale, bool)
        if scale is not None and not (number and 1 <= float(str(scale)) <= 64):
            raise SettingError(name="rope_scale", value=scale, wanted="a number between 1 and 64", source=SOURCE)
        for name in ("flash_attention", "embeddings", "mmap"):
            value = getattr(self, name)
            if not isinstance(value, bool) and not (name == "flash_attention" and value is None):
                raise SettingError(name=name, value=value, wanted="true or false", source=SOURCE)
        lora: object = self.lora
        if not isinstance(lora, tuple) or not all(isinstance(entry, str) for entry in lora):
            raise SettingError(name="lora", value=lora, wanted="a list of PATH or PATH=WEIGHT", source=SOURCE)

    @property
    def adapters(self) -> tuple[tuple[str, float], ...]:
        """Path and weight of each LoRA adapter."""
        return tuple(_adapter(entry) for entry in self.lora)

    def _number(self, name: str, least: int, wanted: str) -> None:
        value = getattr(self, name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise SettingError(name=name, value=value, wanted=wanted, source=SOURCE)

    def _among(self, name: str, known: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in known:
            raise SettingError(name=name, value=value, wanted="one of " + ", ".join(known), source=SOURCE)


def _adapter(entry: str) -> tuple[str, float]:
    """
    >>> _adapter("a.gguf"), _adapter("a.gguf=0.5"), _adapter("odd=name.gguf")
    (('a.gguf', 1.0), ('a.gguf', 0.5), ('odd=name.gguf', 1.0))
    """
    path, equals, weight = entry.rpartition("=")
    try:
        return (path, float(weight)) if equals else (entry, 1.0)
    except ValueError:
        return entry, 1.0
