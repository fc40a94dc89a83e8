"""The seam of steps: what a kind of step is told, what it gives back, what it says of itself beforehand.

A kind is one value: a name, the dataclass of its options, a function that does it and one that foresees it. Its module
imports nothing heavy; what needs torch or the engine is imported when the step runs.

Does not know: any step; recipes; where a run keeps its things.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from penjing.plan.said import Said
from penjing.probe.facts import Model
from penjing.progress import Report
from penjing.shrink.qat.layout import Layout

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Named(str):
    """An option that is a file or folder (in a recipe: from the folder of the recipe), or a name that the step knows.
    The run hashes the file that it names."""

    __slots__ = ()


Form = Literal["checkpoint", "gguf"]
"""A checkpoint is a Hugging Face folder or a GGUF file; some steps work on one of them only."""
Basis = Literal["measured", "assumed"]


Convert = Callable[[Path, Path, Report], Path]
"""`convert(checkpoint folder, target, report)` writes an F16 GGUF file; a station after this one gives it."""


@dataclass(frozen=True)
class Work:
    """One step to do. `model` is what it begins with, `origin` what the whole recipe began with (and what losses are
    measured against), `teacher` whom a model learns from: the origin, or what the last step left that changed its
    tokens. `output` is a name for a folder that is not there yet: the step makes it, whole or not
    at all. `scratch` is a folder that outlives a kill: a step that finds its own checkpoints there goes on from them.
    `report` hears how far the step is, and cancels by raising. `gguf(model, report)` is a model as a GGUF file: the
    file itself, or what a folder is converted to, once in a run; `layout` tells where its tensors stand in
    the folder."""

    model: Path
    origin: Path
    teacher: Path
    output: Path
    scratch: Path
    report: Report
    gguf: Callable[[Path, Report], Path]
    layout: Layout | None = None


@dataclass(frozen=True)
class Made:
    """What a step leaves: `model` is a folder or a GGUF file, inside the step's `output` or, of a step that only looks,
    the one it was given. `found` is what it decided and measured, JSON values, for the manifest and the report; `data`
    the SHA-256 of texts that it used and that its options do not name as files."""

    model: Path
    found: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Loss:
    """Mean Kullback-Leibler divergence (nats) from the origin's next words, as it is foreseen."""

    low: float
    likely: float
    high: float
    basis: Basis = "assumed"

    def __add__(self, other: Loss) -> Loss:
        """Of one step after another: independent small changes add up in this measure."""
        basis: Basis = "measured" if self.basis == other.basis == "measured" else "assumed"
        return Loss(self.low + other.low, self.likely + other.likely, self.high + other.high, basis)


@dataclass(frozen=True)
class Seconds:
    """How long a step takes, and what that rests on."""

    low: float
    likely: float
    high: float
    basis: Basis = "assumed"


NOTHING_LOST, NO_TIME = Loss(0.0, 0.0, 0.0, "measured"), Seconds(0.0, 0.0, 0.0, "measured")
KNOWN_MARGIN, ASSUMED_MARGIN = 1.5, 3.0
"""How many times shorter or longer a step may take where this machine did such steps before, and where not."""


@dataclass(frozen=True)
class Outlook:
    """How things are foreseen to stand before or after a step. `bytes` are those of the file or files, `exact` where
    they follow from shapes and types alone, and at `most` so many where they are a ceiling. `loss` is None where
    nothing is known. `effort` is the work of the step in units of its kind (`Pace`), `seconds` the time that takes;
    `room` the bytes on disk that the step takes at its most, its output among them. `remarks` are told to the reader.
    `header` is the size of the metadata in a GGUF file of it, in bytes, None where that is not known; the tensors of
    `model` have GGUF's names where it is."""

    model: Model
    form: Form
    bytes: int
    exact: bool = True
    most: bool = False
    loss: Loss | None = NOTHING_LOST
    effort: float = 0.0
    seconds: Seconds = NO_TIME
    room: int = 0
    remarks: tuple[Said, ...] = ()
    header: int | None = None

    def then(self, **changes: Any) -> Outlook:
        """As it stands after a step that did `changes`; time, room and remarks are the step's own."""
        own: dict[str, Any] = {"effort": 0.0, "seconds": NO_TIME, "room": 0, "remarks": ()}
        return replace(self, **{**own, **changes})


@dataclass(frozen=True)
class Pace:
    """How fast this machine is. `rates`: units a second by what is done, from its calibration: `train` and `read` in
    multiplications and additions, `encode` in weights, `copy` in bytes. `known`: seconds a unit took in earlier runs
    here, by kind of step."""

    rates: Mapping[str, float]
    known: Mapping[str, float] = field(default_factory=dict)

    def time(self, kind: str, effort: float, rate: str) -> Seconds:
        """Of so many units."""
        if kind in self.known:
            likely = effort * self.known[kind]
            return Seconds(likely / KNOWN_MARGIN, likely, likely * KNOWN_MARGIN, "measured")
        likely = effort / self.rates[rate]
        return Seconds(likely / ASSUMED_MARGIN, likely, likely * ASSUMED_MARGIN)


Run = Callable[[Work, Any], Made]
Foresee = Callable[[Outlook, Any, Pace], Outlook]


@dataclass(frozen=True)
class Kind:
    """One kind of step. `options` is a frozen dataclass whose annotations are the schema. It `takes` these forms and
    `gives` one of them, or the same where that is None. `about` is an English template: what is being done, for bars
    and plans. A recipe that ends with a step that only `looks` has the result of the one before;
    what the last one that `measures` found is the quality in the manifest. One that changes `words` gives tokens that
    the model before did not have.
    `libraries` are the packages whose versions the manifest names, `names` what options that are `Named` may be besides
    files, by option; where an option is not in it, only the step knows."""

    name: str
    about: str
    options: type[DataclassInstance]
    run: Run
    foresee: Foresee
    takes: tuple[Form, ...] = ("checkpoint", "gguf")
    gives: Form | None = None
    looks: bool = False
    measures: bool = False
    words: bool = False
    libraries: tuple[str, ...] = ()
    names: Mapping[str, Collection[str]] = field(default_factory=dict)
