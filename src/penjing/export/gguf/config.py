"""config.json as the families read it: checked values, old and new spellings of the same thing.

Source: transformers' `PretrainedConfig`; since 5.0 the rotary settings are in `rope_parameters`, before that in
`rope_theta` and `rope_scaling`.

Does not know: any family.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from penjing.export.gguf.faults import OptionUnsupported, SettingMissing
from penjing.probe.checkpoint import CONFIG, load_json

F32_LARGEST = 3.4028234663852886e38


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding: `theta` is the base, `kind` the way it is stretched (`default`, `linear`, `yarn`,
    `llama3`, `longrope`), `values` the rest of that way's settings, `local_theta` the base of sliding-window layers
    (0 where they have none of their own), `partial` the share of a head that is rotated."""

    theta: float
    kind: str = "default"
    values: dict[str, Any] = field(default_factory=dict)
    local_theta: float = 0.0
    partial: float = 1.0


@dataclass(frozen=True)
class Config:
    """The settings of the text model in `folder`; those of `text_config` win over the outer ones."""

    folder: Path
    values: dict[str, Any]

    @property
    def architecture(self) -> str:
        """`architectures[0]`. Raises SettingMissing where it is not said."""
        names = self.values.get("architectures")
        if not isinstance(names, list) or not names:
            raise SettingMissing(path=str(self.folder / CONFIG), name="architectures")
        return str(names[0])

    def whole(self, *names: str, default: int | None = None) -> int:
        """The first of `names` that is a whole number above zero. Raises SettingMissing without a `default`."""
        for name in names:
            value = self.values.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 32:
                return value
        if default is None:
            raise SettingMissing(path=str(self.folder / CONFIG), name=names[0])
        return default

    def real(self, *names: str, default: float | None = None) -> float:
        """The first of `names` that is a number f32 can hold. Raises SettingMissing without a `default`."""
        for name in names:
            value = number(self.values.get(name))
            if value is not None:
                return value
        if default is None:
            raise SettingMissing(path=str(self.folder / CONFIG), name=names[0])
        return default

    def require(self, option: str, *wanted: object, default: object = None) -> None:
        """Raises OptionUnsupported unless `option` is one of `wanted` (or absent, where that means `default`)."""
        value = self.values.get(option)
        value = default if value is None else value
        if value not in wanted:
            self.refuse(option, value, " / ".join(map(str, wanted)))

    def refuse(self, option: str, value: object, wanted: str) -> NoReturn:
        """Raises OptionUnsupported."""
        raise OptionUnsupported(path=str(self.folder), option=option, value=value, wanted=wanted)

    @property
    def layers(self) -> int:
        """Transformer blocks."""
        return self.whole("num_hidden_layers")

    @property
    def heads(self) -> int:
        """Attention heads."""
        return self.whole("num_attention_heads")

    @property
    def kv_heads(self) -> int:
        """Key-value heads."""
        return self.whole("num_key_value_heads", default=self.heads)

    @property
    def width(self) -> int:
        """The residual stream's width."""
        return self.whole("hidden_size")

    @property
    def head(self) -> int:
        """The width of one head."""
        return self.whole("head_dim", default=self.width // self.heads)

    @property
    def tied(self) -> bool:
        """Whether the head is the embedding."""
        return bool(self.values.get("tie_word_embeddings", False))

    @property
    def rope(self) -> Rope:
        """The rotary settings, whichever way they are spelled."""
        given = self.values.get("rope_parameters") or self.values.get("rope_scaling") or {}
        given = given if isinstance(given, dict) else {}
        nested = isinstance(given.get("full_attention"), dict)
        full = dict(given["full_attention"]) if nested else dict(given)
        local = given.get("sliding_attention") if nested else None
        local_theta = local.get("rope_theta") if isinstance(local, dict) else self.values.get("rope_local_base_freq")
        theta = number(full.pop("rope_theta", None)) or self.real("rope_theta", default=10000.0)
        kind = str(full.pop("rope_type", None) or full.pop("type", None) or "default")
        partial = number(full.pop("partial_rotary_factor", None)) or self.real("partial_rotary_factor", default=1.0)
        kind = "longrope" if kind == "su" else kind
        return Rope(theta, kind, full, number(local_theta) or 0.0, partial)


def number(value: object) -> float | None:
    """`value` where it is a number that f32 can hold."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and -F32_LARGEST <= value <= F32_LARGEST:
        return float(value)
    return None


def load(folder: Path) -> Config:
    """The configuration of a checkpoint. Raises DamagedConfig."""
    values = load_json(folder / CONFIG)
    nested = values.get("text_config")
    if isinstance(nested, dict):
        outer = {key: value for key, value in values.items() if key in ("architectures", "quantization_config")}
        values = {**values, **nested, **outer}
    return Config(folder, values)
