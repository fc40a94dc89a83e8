"""What of a checkpoint targets do not take as it is, from its config.json alone.

Does not know: targets, weights.
"""

from __future__ import annotations

from pathlib import Path

from penjing.errors import ModelUnsupported
from penjing.export.decoder import shape as decoder
from penjing.export.decoder.shape import Shape
from penjing.export.gguf import config as settings
from penjing.export.gguf.config import Config
from penjing.export.gguf.families import KNOWN
from penjing.export.lint.finding import Sight
from penjing.language import LANGUAGES

GROUP = 32
"""Weights that share a scale at 4 bits."""


def look(folder: Path) -> list[Sight]:
    """Everything that some target may not take. Raises DamagedConfig."""
    config = settings.load(folder)
    try:
        shape, config = decoder.read(folder)
    except ModelUnsupported as error:
        facts = {f"said_{language}": f"{error.message(language)} {error.advice(language)}" for language in LANGUAGES}
        return [Sight("family", config.architecture, 1, (), facts), *_rest(config)]
    return [*_decoder(shape), *_groups(shape), *_rest(config)]


def _decoder(shape: Shape) -> list[Sight]:
    """The parts that runtimes have no operator for."""
    caps = [name for name, cap in (("attention", shape.attention_cap), ("logits", shape.logit_cap)) if cap]
    parts = [
        Sight("norm", "RMSNorm", shape.layers * 2 + 1),
        Sight("rotary", f"RoPE ({shape.rope.kind})", shape.layers),
        Sight("cache", "KV cache", shape.layers),
        Sight("ids", "int64", 1, ("input_ids",)),
    ]
    if caps:
        parts.append(Sight("softcap", "tanh", len(caps), tuple(caps)))
    if any(shape.sliding):
        parts.append(Sight("window", f"window {shape.window}", sum(shape.sliding)))
    return parts


def _rest(config: Config) -> list[Sight]:
    """What is beside the decoder, and whether llama.cpp's own converter is needed."""
    seen = [Sight("picture", "vision_config")] if "vision_config" in config.values else []
    return seen if config.architecture in KNOWN else [*seen, Sight("converter", config.architecture)]


def _groups(shape: Shape) -> list[Sight]:
    odd = sorted({each for each in (shape.width, shape.inner, shape.heads * shape.head) if each % GROUP})
    return [Sight("groups", "Linear", len(odd), (), {"wanted": ", ".join(map(str, odd))})] if odd else []
