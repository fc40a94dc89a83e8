"""The LoRA adapters that go beside a model: found, converted where they are in peft's form, seen to fit.

Does not know: processes, who asks for which.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from penjing.engines.llamacpp.options import Beside
from penjing.errors import ModelNotFound
from penjing.export.gguf import adapter
from penjing.export.gguf.base import base_of, require_fits
from penjing.files import expanded
from penjing.probe.facts import Model
from penjing.store import cache


def beside(asked: Beside, model: Model) -> Beside:
    """The GGUF file of an adapter for `model`; a folder in peft's form is converted once, into the cache. Raises
    ModelNotFound, NotAnAdapter, AdapterOfAnother, AdapterMismatch, AdapterUnsupported, ModelCorrupt."""
    path = expanded(asked.path)
    if path.is_dir() and adapter.is_folder(path):
        path = _converted(path, model)
    if not path.is_file():
        raise ModelNotFound(model=asked.path)
    require_fits(path, model)
    return replace(asked, path=str(path))


def _converted(folder: Path, model: Model) -> Path:
    """The cached conversion. What it comes out as depends on the model's shape alone, not on its weights."""
    shape = f"{model.architecture} {model.layers} {model.heads} {model.kv_heads} {model.key_length}"
    files = [path for path in (folder / adapter.CONFIG, folder / adapter.WEIGHTS) if path.is_file()]
    key = cache.key(folder, files, f"adapter {shape}")
    return cache.made(key, lambda target: adapter.convert(folder, base_of(model), target))
