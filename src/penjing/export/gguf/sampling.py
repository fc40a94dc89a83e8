"""How a model's makers want it sampled: `generation_config.json` as GGUF metadata, which llama.cpp takes for every
request that does not say otherwise (`general.sampling.*`, gguf-py/gguf/constants.py)."""

from __future__ import annotations

from pathlib import Path

from penjing.probe.checkpoint import load_json
from penjing.shrink.container import Value

FILE = "generation_config.json"
KEYS = {
    "temperature": ("general.sampling.temp", float),
    "top_k": ("general.sampling.top_k", int),
    "top_p": ("general.sampling.top_p", float),
    "min_p": ("general.sampling.min_p", float),
    "repetition_penalty": ("general.sampling.penalty_repeat", float),
}
"""transformers' name to GGUF's and the type of its value."""


def read(folder: Path) -> dict[str, Value]:
    """The metadata for the checkpoint in `folder`; {} where its makers wished nothing. Raises DamagedConfig."""
    path = folder / FILE
    wishes = load_json(path) if path.is_file() else {}
    found: dict[str, Value] = {
        key: kind(wishes[theirs]) for theirs, (key, kind) in KEYS.items() if _is_wish(wishes.get(theirs))
    }
    return found | {"general.sampling.temp": 0.0} if wishes.get("do_sample") is False else found


def _is_wish(value: object) -> bool:
    """Whether a wish is a number that says something: transformers writes 0 and null for what is switched off."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
