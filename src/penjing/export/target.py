"""The seam of export: a model goes in, the files that another runtime takes come out, and can be loaded again.

A target is one small class, found by its name in the group of entry points `penjing.targets`; the built-in ones are
registered in the same group. `make` writes a folder with it, `check` compares what was written with the parent.

Does not know: any runtime, how a model is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from penjing.errors import InputError, SettingError
from penjing.progress import Report

GROUP = "penjing.targets"
CONTEXT = 4096
"""Tokens of a cache of fixed size, unless said otherwise or the model takes fewer."""


class TargetExtraMissing(InputError):
    """Facts: `target`, `extra`, `detail` (the names of packages)."""

    template = "The target {target} needs packages that are not installed here ({detail})."
    hint = "pip install 'penjing[{extra}]'"
    code = "extra_missing"


class NotOfTarget(InputError):
    """Facts: `option`, `target`, `known`."""

    template = "The target {target} has no {option}."
    hint = "Leave it out. Besides --precision it has: {known}"
    code = "not_of_target"


@dataclass(frozen=True)
class Options:
    """What a person may choose. `precision` is one of the target's; `context`: tokens of a cache of fixed size, 0 for
    the smaller of CONTEXT and the model's; `calibration`: a file or folder of texts for what is calibrated, None for
    the built-in ones; `starter`: whether the folder gets a small program that runs the model; `name`: what the model is
    called there; `bits`: of a GGUF that a target takes, None leaves it as it is; `sequence`: how many tokens a call
    reads where a target can fix that, 0 for any number."""

    precision: str
    context: int = 0
    calibration: Path | None = None
    starter: bool = True
    name: str = "model"
    bits: int | None = None
    sequence: int = 0

    def tokens(self, longest: int) -> int:
        """The context to export for a model that takes `longest` tokens (0 where nobody knows)."""
        wanted = self.context or CONTEXT
        return min(wanted, longest) if longest else wanted


class Runtime(Protocol):
    """An export, loaded by the runtime it was made for (or by what stands in for it here). One conversation."""

    def prefill(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Forget everything, read `ids`; the logits after each: float32 [len(ids), vocabulary]."""
        ...

    def decode(self, token: int) -> NDArray[np.float32]:
        """Read one more token; the logits after it: float32 [vocabulary]."""
        ...

    def close(self) -> None:
        """Free it; a second time does nothing."""
        ...


class Target(Protocol):
    """One kind of runtime. The class is made without arguments, at no cost.

    `extra` names the extra of penjing that brings `packages` (as they are imported); `precisions` gives the bits a
    weight of each precision has, the default first: the check's limits follow from them. `takes` says whether `write`
    gets a checkpoint folder or a GGUF file, `uses` which options it looks at besides the precision, the name and the
    starter (fields of `Options`)."""

    name: ClassVar[str]
    extra: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    precisions: ClassVar[Mapping[str, float]]
    takes: ClassVar[Literal["checkpoint", "gguf"]]
    uses: ClassVar[tuple[str, ...]]

    def write(self, model: Path, output: Path, options: Options, report: Report | None = None) -> list[Path]:
        """Write the export of `model` into the empty folder `output` (the caller makes it, and takes it away where this
        raises); the files in it. Raises ModelError, DiskFull, and what `report` raises to cancel."""
        ...

    def reload(self, output: Path) -> Runtime:
        """What `write` wrote, loaded again from its files alone. Raises ModelError."""
        ...


def targets() -> dict[str, EntryPoint]:
    """Name to entry point, in order of names; nothing is imported."""
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)}


def target(name: str) -> Target:
    """The target called so. Raises SettingError for a name that nobody registered."""
    known = targets()
    if name not in known:
        raise SettingError(name="target", value=name, wanted=", ".join(known), source="--target")
    made: Target = known[name].load()()
    return made


def require(wanted: Target) -> None:
    """Raises TargetExtraMissing where a package that it needs is not here. Nothing is imported."""
    missing = [name for name in wanted.packages if find_spec(name) is None]
    if missing:
        raise TargetExtraMissing(target=wanted.name, extra=wanted.extra, detail=", ".join(missing))


def precision(wanted: Target, name: str | None) -> str:
    """`name`, or the target's default where it is None. Raises SettingError for one that it does not have."""
    known = list(wanted.precisions)
    found = known[0] if name is None else name.lower()
    if found not in known:
        raise SettingError(name="precision", value=name, wanted=", ".join(known), source="--precision")
    return found


def require_used(wanted: Target, given: Mapping[str, object]) -> None:
    """Raises NotOfTarget for an option (a field of `Options` to its value, None where it was not given) that the target
    does not look at: none is dropped in silence."""
    for name, value in given.items():
        if value is not None and name not in wanted.uses:
            known = ", ".join(f"--{each}" for each in wanted.uses) or "-"
            raise NotOfTarget(option=f"--{name}", target=wanted.name, known=known)
