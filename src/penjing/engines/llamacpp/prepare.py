"""Reads what `derive` needs and derives: the way from a path and options to everything a start needs.

Does not know: processes, HTTP.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from penjing.engines.llamacpp import devices, projector
from penjing.engines.llamacpp.beside import beside
from penjing.engines.llamacpp.derive import Derived, derive
from penjing.engines.llamacpp.options import EngineOptions
from penjing.engines.llamacpp.own import computing
from penjing.native import libraries
from penjing.probe import machine, model
from penjing.store.resolve import resolve


def prepare(
    path: Path, name: str, options: EngineOptions, *, held: int = 0, most: int = 0, near: Path | None = None
) -> Derived:
    """Settings for the GGUF at `path` on this machine now, with reasons (`penjing serve --explain`). `held`: bytes of
    its weights that this process has in memory already, so that they are not counted twice. `most`: bytes of memory
    that it may count on at most, 0 for all that is free. `near` is the file that `path` was made of: what lies beside
    that may belong to it.

    An adapter in peft's form is converted once. Raises ModelError, DeviceUnavailable, SettingError, NoSuchLibrary,
    LibraryForeign or LibraryMissing before anything is loaded.
    """
    facts = model.read(path)
    here = machine.read(gpus=options.device != "cpu")
    if held:
        here = dataclasses.replace(here, memory_available=here.memory_available + held)
    if most:
        here = dataclasses.replace(here, memory_available=min(here.memory_available, most))
    options = dataclasses.replace(options, lora=tuple(beside(each, facts).entry for each in options.adapters))
    library = libraries.find(options.library) if options.library else libraries.in_use()
    draft = None if options.draft is None else model.read(resolve(options.draft).path)
    eyes = projector.find(options.mmproj, facts, near)
    wanted = options.device not in ("cpu", "auto") or (here.gpus and options.device == "auto")
    usable = devices.of(computing(options, library, eyes)) if wanted else ()
    return derive(facts, here, options, name=name, devices=usable, library=library, draft=draft, projector=eyes)
