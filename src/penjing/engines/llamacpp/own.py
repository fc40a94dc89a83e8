"""Whose scheduler computes, and what only penjing's own knows: how much of the processor it leaves to others, a draft
model, conversations on disk.

Does not know: memory, devices, how the scheduler does what it is told.
"""

from __future__ import annotations

from dataclasses import replace

from penjing.engines.llamacpp.options import SCHEDULERS, SOURCE, EngineOptions
from penjing.engines.llamacpp.settings import Settings
from penjing.engines.llamacpp.sheet import Sheet
from penjing.errors import SettingError
from penjing.native.libraries import PREBUILT, Library
from penjing.probe.facts import Model
from penjing.probe.machine import Machine

OWN = ("max_cpu", "power", "draft", "keep_conversations")
"""Options that llama.cpp's server has nothing for."""
REASONS = {
    "scheduler": "llama.cpp's own server; --scheduler penjing takes penjing's",
    "native_scheduler": "the library in use was compiled here, and penjing's is what computes with it",
    "library": "what penjing engine use chose",
    "wheel_library": "llama.cpp's own server is only in the prebuilt one",
    "keep_conversations": "what was read of a conversation stays on disk, for when it goes on after a restart",
}


def scheduling(sheet: Sheet, options: EngineOptions, library: Library | None, settings: Settings) -> Settings:
    """`settings` with whose scheduler it is and what that loads. Penjing's where a library of this machine's own is in
    use. Raises SettingError."""
    native = library is not None and library.native
    usual, reason = (SCHEDULERS[1], "native_scheduler") if native else (SCHEDULERS[0], "scheduler")
    whose = sheet.choose("scheduler", options.scheduler, usual, REASONS[reason])
    if library is None or whose == SCHEDULERS[0]:
        if options.library and native:
            raise SettingError(
                name="library", value=options.library, wanted="prebuilt for llama.cpp's own server", source=SOURCE
            )
        if native:
            sheet.choose("library", None, PREBUILT, REASONS["wheel_library"])
        return replace(settings, scheduler=whose)
    sheet.choose("library", library.name if options.library else None, library.name, REASONS["library"])
    if not native:
        return replace(settings, scheduler=whose)
    return replace(settings, scheduler=whose, library=str(library.path), library_version=library.version)


def own(sheet: Sheet, machine: Machine, options: EngineOptions, settings: Settings, draft: Model | None) -> Settings:
    """`settings` with what penjing's scheduler is told; raises SettingError where another one would have to."""
    settings = replace(settings, shift=bool(options.context_shift))
    if options.context_shift is not None:
        sheet.choose("context_shift", options.context_shift, False, "")
    if settings.scheduler != SCHEDULERS[1]:
        for name in OWN:
            if getattr(options, name) is not None:
                raise SettingError(
                    name=name, value=getattr(options, name), wanted="nothing without --scheduler penjing", source=SOURCE
                )
        return settings
    for name in OWN[:3]:
        if getattr(options, name) is not None:
            sheet.choose(name, getattr(options, name), None, "")
    keep = sheet.choose("keep_conversations", options.keep_conversations, True, REASONS["keep_conversations"])
    return replace(
        settings,
        cores=min(machine.limits.cpus or machine.logical_cores, machine.logical_cores),
        max_cpu=(options.max_cpu or 100) / 100,
        power=options.power or "max",
        draft=str(draft.path) if draft else "",
        keep=keep,
    )
