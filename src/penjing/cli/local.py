"""A model of this machine becomes an engine: its signatures are looked at, a seal is opened.

    --allow-untrusted                   what would be refused is told instead
    --key-command, --passphrase-file    what opens a sealed model, as [seal] does; else a person is asked

Does not know: servers elsewhere, what is done with the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.passphrase import person, typed
from penjing.cli.tune.using import tuned
from penjing.errors import SettingError, Unsupported
from penjing.language import say
from penjing.store.admitting import require_admitted
from penjing.store.seal.keys import Ask, SealSettings, settings
from penjing.store.seal.opening import Opened, open_sealed

if TYPE_CHECKING:
    from pathlib import Path

    from penjing.engines.llamacpp import EngineOptions
    from penjing.engines.llamacpp.derive import Derived
    from penjing.operate.supervise import Change, Supervised
    from penjing.progress import Report
    from penjing.store.resolve import Found
    from penjing.store.trust.admit import Allow
    from penjing.store.trust.faults import Distrusted

USUAL = "llamacpp"
OF_CHECKPOINTS = ("mlx",)
"""Kinds of engines that read checkpoint folders."""
KEYS = ("key_command", "passphrase_file")
"""Options that open seals."""


@dataclass(frozen=True)
class Care:
    """How much care is taken with models. `allow` hears of one that would be refused; without it that one is refused.
    `means` and `ask` open seals."""

    allow: Allow | None = None
    means: SealSettings = field(default_factory=SealSettings)
    ask: Ask | None = None


def care(given: Mapping[str, Any], *, alone: bool = True) -> Care:
    """From the command line and the settings; a person is asked for passphrases where there is one and penjing has the
    terminal `alone`. Raises CommandOfAFolder, SettingError."""
    means = settings({name: given.get(name) for name in KEYS})
    return Care(_told if given.get("allow_untrusted") else None, means, typed if alone and person() else None)


def _told(refusal: Distrusted) -> None:
    talk.warn("Loaded all the same (--allow-untrusted): {detail}", detail=refusal.message())


def engine(
    found: Found,
    name: str,
    options: EngineOptions,
    care: Care,
    file: Path | Callable[[Report], Path],
    hear: Callable[[Change], None] | None = None,
    workload: str = "",
) -> Supervised:
    """An engine for `found`, not started, called `name`. `file` is what it loads, or makes that at its first start.
    What `penjing tune` chose for `workload` counts where `options` leave a choice. A sealed model is opened here and
    now, since that may need a person, but decrypted only when the engine starts.

    Raises NotSealed, SealDamaged, NoSealKey, WrongSealKey and what they come with; Distrusted for an adapter."""
    from penjing.engines.llamacpp import LlamaCpp
    from penjing.operate.supervise import Supervised

    _require_adapters(found, options, care)
    options = tuned(found, options, file, workload) if workload else options
    if not usual(options):
        return Supervised(other(found, name, options, file), hear=hear)
    sealed = opened(found, care, None if callable(file) else file)
    if sealed is not None:
        inner = LlamaCpp(sealed.path, name, options, sealed=sealed)
    elif callable(file):
        inner = LlamaCpp(found.source, name, options, file)
    else:
        inner = LlamaCpp(file, name, options)
    return Supervised(inner, hear=hear)


def usual(options: EngineOptions) -> bool:
    """Whether llama.cpp computes."""
    return options.engine in (None, USUAL)


def other(found: Found, name: str, options: EngineOptions, file: Path | Callable[[Report], Path]) -> Any:
    """An engine of another kind than llama.cpp. One that reads GGUF files gets what `file` is or makes, one that reads
    checkpoints what was named. Raises SettingError for a sealed model, UnknownOption for a kind that nobody
    registered."""
    from penjing.engines.kinds import kind

    if found.kind == "sealed":
        raise SettingError(
            name="engine",
            value=options.engine,
            wanted=say("{engine}, which alone opens sealed models", engine=USUAL),
            source="--engine",
        )
    made: Any = kind(str(options.engine))
    if options.engine in OF_CHECKPOINTS:
        return made(found.source, name, options)
    return made(found.source, name, options, file) if callable(file) else made(file, name, options)


def opened(found: Found, care: Care, path: Path | None = None) -> Opened | None:
    """A sealed model with its key, None for a plain one; `path` is what `found` made, where that was done. Raises as
    `engine` does, and Distrusted."""
    from penjing.cli.progress import shown

    if found.kind != "sealed":
        return None
    if path is None:
        with shown() as report:
            path = found.make(report)
    return open_sealed(path, care.means, care.ask)


def derive(found: Found, options: EngineOptions, name: str, care: Care, workload: str) -> Derived:
    """How it would be run as `name` for `workload`, with what `penjing tune` chose; a checkpoint is converted first.
    Raises ModelError, SettingError, DeviceUnavailable, and what `engine` raises."""
    from penjing.cli.progress import shown
    from penjing.cli.tune.explaining import explained
    from penjing.engines.llamacpp.prepare import prepare
    from penjing.engines.llamacpp.unsealed import Unsealed

    _require_adapters(found, options, care)
    sealed = opened(found, care)
    if sealed is not None:
        return Unsealed(sealed).prepare(name, options)
    with shown() as report:
        path = found.make(report)
    used = tuned(found, options, path, workload)
    if usual(used):
        return explained(prepare(path, name, used, near=found.source), found, options, used, path, workload)
    foreseen = other(found, name, used, path)
    if not hasattr(foreseen, "foresee"):
        raise Unsupported(feature=f"--explain with --engine {used.engine}", model=name)
    derived: Derived = asyncio.run(foreseen.foresee())
    return explained(derived, found, options, used, path, workload)


def _require_adapters(found: Found, options: EngineOptions, care: Care) -> None:
    """They change a model as much as its weights do, and so does what gives it eyes."""
    from pathlib import Path

    from penjing.engines.llamacpp.options import NO_PROJECTOR

    if options.mmproj not in (None, NO_PROJECTOR) and Path(str(options.mmproj)).exists():
        require_admitted(Path(str(options.mmproj)), care.allow)
    for each in options.adapters:
        if Path(each.path).exists():  # else the engine says what is wrong
            require_admitted(Path(each.path), care.allow)
            if _of_another(Path(each.path), found):
                talk.warn(
                    "The adapter {path} was trained on another version of {model}: it may do nothing, or harm.",
                    path=each.path,
                    model=found.name,
                )


def _of_another(adapter: Path, found: Found) -> bool:
    """Whether an adapter says that it was trained on other weights than those of `found`; its shapes may fit all the
    same. Nothing is said where one of them has no manifest, or where the model is a file made of what it was trained
    on."""
    from penjing import manifest

    folder, base = (path if path.is_dir() else path.parent for path in (adapter, found.source))
    if found.kind not in ("guide", "checkpoint") or not all(
        (each / manifest.NAME).is_file() for each in (folder, base)
    ):
        return False
    parent = manifest.load(folder).parent
    return bool(parent) and parent != manifest.digest(base / manifest.NAME)
