"""Whose scheduler computes, and what only penjing's own knows: how much of the processor it leaves to others, a draft
model, conversations on disk.

Does not know: memory, devices, how the scheduler does what it is told.
"""

from __future__ import annotations

from dataclasses import replace

from penjing.engines.llamacpp.options import SCHEDULERS, SOURCE, EngineOptions
from penjing.engines.llamacpp.projector import Projector
from penjing.engines.llamacpp.settings import Settings
from penjing.engines.llamacpp.sheet import Sheet
from penjing.errors import SettingError
from penjing.language import say
from penjing.native import libraries
from penjing.native.libraries import PREBUILT, Library
from penjing.probe.facts import Model
from penjing.probe.machine import Machine

OWN = ("max_cpu", "power", "draft", "keep_conversations")
"""Options that llama.cpp's server has nothing for."""
WITH_EYES = (SCHEDULERS[0], PREBUILT)
"""What computes pictures."""
REASONS = {
    "scheduler": "llama.cpp's own server; --scheduler penjing takes penjing's",
    "mmproj": "it lies beside the model and gives it eyes or ears",
    "blind": "{path} lies beside the model, but what was asked for computes no pictures: {options}",
    "seeing_scheduler": "the model has a projector, and llama.cpp's own server is what computes pictures",
    "native_scheduler": "the library in use was compiled here, and penjing's is what computes with it",
    "library": "what penjing engine use chose",
    "wheel_library": "llama.cpp's own server is only in the prebuilt one",
    "keep_conversations": "what was read of a conversation stays on disk, for when it goes on after a restart",
}


def blinds(options: EngineOptions) -> list[str]:
    """Options that were given and that only penjing's scheduler has, or that want it: it computes no pictures."""
    found = [name for name in OWN if getattr(options, name) is not None]
    found += [name for name in ("scheduler", "library") if getattr(options, name) not in (None, *WITH_EYES)]
    return found + (["context_shift"] if options.context_shift else [])  # llama.cpp would pass over it without a word


def seeing(sheet: Sheet, options: EngineOptions, projector: Projector | None) -> Projector | None:
    """The projector that is used: none where it only lies there and a person asked for what computes no pictures.
    Raises SettingError where both were asked for."""
    if projector is None:
        return None
    others, path = ", ".join(blinds(options)), projector.path.name
    if others and projector.asked:
        wanted = say("for anything but llama.cpp's own server; asked for too: {options}", options=others)
        raise SettingError(name="mmproj", value=str(projector.path), wanted=wanted, source=SOURCE)
    if others:
        sheet.choose("mmproj", None, "", REASONS["blind"], path=path, options=others)
        return None
    sheet.choose("mmproj", path if projector.asked else None, path, REASONS["mmproj"])
    return projector


def usual(library: Library | None, *, sees: bool) -> tuple[str, str]:
    """Whose scheduler it is where nobody says, and which of REASONS: penjing's where a library of this machine's own is
    in use, llama.cpp's for a model that `sees`."""
    if sees:
        return SCHEDULERS[0], "seeing_scheduler"
    if library is not None and library.native:
        return SCHEDULERS[1], "native_scheduler"
    return SCHEDULERS[0], "scheduler"


def computing(options: EngineOptions, library: Library, projector: Projector | None) -> Library:
    """Which library computes: `library`, or the wheel's where that is llama.cpp's own server. Raises LibraryMissing."""
    sees = projector is not None and not blinds(options)
    whose = options.scheduler or usual(library, sees=sees)[0]
    return library if whose == SCHEDULERS[1] else libraries.prebuilt()


def scheduling(
    sheet: Sheet, options: EngineOptions, library: Library | None, settings: Settings, *, sees: bool = False
) -> Settings:
    """`settings` with whose scheduler it is (see `usual`) and what that loads. Raises SettingError."""
    native = library is not None and library.native
    expected, reason = usual(library, sees=sees)
    whose = sheet.choose("scheduler", options.scheduler, expected, REASONS[reason])
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
