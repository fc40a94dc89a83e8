"""llama.cpp in its own worker process, one per loaded model.

`LlamaCpp` is the engine, `EngineOptions` what a person may set, `derive.derive` turns those, a model and a machine
into the `Settings` the worker is started with. Imported when first used: the worker itself must stay light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penjing.engines.llamacpp.engine import LlamaCpp
    from penjing.engines.llamacpp.options import EngineOptions
    from penjing.engines.llamacpp.settings import Settings

__all__ = ["EngineOptions", "LlamaCpp", "Settings"]

_HOMES = {"EngineOptions": "options", "LlamaCpp": "engine", "Settings": "settings"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
