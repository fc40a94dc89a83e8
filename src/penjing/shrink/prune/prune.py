"""A checkpoint with fewer parameters: measured, priced, cut, repaired, and chosen by what it really loses.

Does not know: where texts come from; further training (`distill`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.errors import SettingError
from penjing.files import require_room
from penjing.language import say
from penjing.plan.said import Said, said
from penjing.progress import Progress, Report, span
from penjing.settings import one_of
from penjing.shrink import packing, torch_model
from penjing.shrink.divergence import divergence
from penjing.shrink.lineage import Step
from penjing.shrink.output import require_free
from penjing.shrink.packing import Example
from penjing.shrink.prune.anatomy import Anatomy, spread
from penjing.shrink.prune.cut import Kept, cut
from penjing.shrink.prune.importance import Importance, measure
from penjing.shrink.prune.price import CRITERIA, Removal, removal, repaired
from penjing.shrink.prune.shape import PARTS, Shape, chosen, lost, parameters, shapes, whole
from penjing.shrink.training import NothingToLearn

if TYPE_CHECKING:
    from penjing.manifest import Manifest

BLOCK = 256
"""Numbers that llama.cpp's k-quants code together (ggml-common.h, QK_K)."""
ROUNDED = 0.005
"""A ratio further off than this is told."""
LEAST_KEPT = 0.9
"""Of the weights that should stay, as widths are rounded to whole blocks; a disk without room for these is told before
anything is measured."""
SHARE = 0.2
"""Of the calibration examples that shapes are compared on, and importance is not measured on."""


@dataclass(frozen=True)
class PruneOptions:
    """`ratio` of all parameters to remove, from `parts`, by `criterion`. `tries`: how many shapes are really cut and
    compared. `multiple`: what widths stay a multiple of (0: 256 for wide dimensions, else 32). `repair`: fit what
    stays to what the whole wrote, by least squares. Importance is measured on `windows` of `context` tokens. Raises
    SettingError."""

    ratio: float = 0.3
    parts: tuple[str, ...] = ("inner", "heads", "layers")
    criterion: str = "curvature"
    tries: int = 4
    multiple: int = 0
    repair: bool = True
    windows: int = 128
    context: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        self._require("ratio", 0 < self.ratio < 1, "a share between 0 and 1")
        self._require(
            "parts",
            bool(self.parts) and set(self.parts) <= set(PARTS),
            say("some of {choices}", choices=", ".join(PARTS)),
        )
        self._require("criterion", self.criterion in CRITERIA, one_of(CRITERIA))
        self._require("tries", self.tries >= 1, "a whole number of at least 1")
        self._require("windows", self.windows >= 2, "a whole number of at least 2")
        self._require("context", self.context >= 16, "a whole number of at least 16")
        self._require("multiple", self.multiple >= 0, "a whole number of at least 0")
        self._require("seed", self.seed >= 0, "a whole number of at least 0")

    def _require(self, name: str, fine: bool, wanted: str) -> None:
        if not fine:
            value = getattr(self, name)
            raise SettingError(name=name, value=value, wanted=wanted, source="the options of pruning")


@dataclass(frozen=True)
class Tried:
    """A shape with its parameters, the nats a token it was `expected` to lose, and what it lost on calibration texts
    (`divergence`: KL of the whole from the cut, None where it was not tried)."""

    shape: Shape
    parameters: int
    expected: float
    divergence: float | None = None


@dataclass(frozen=True)
class Pruned:
    """What came of it: `tried`, the best first; `before` and `after` are parameters."""

    manifest: Manifest
    tried: tuple[Tried, ...]
    before: int
    after: int
    notes: tuple[Said, ...]


def prune(
    folder: Path,
    output: Path,
    options: PruneOptions,
    examples: Sequence[Example],
    *,
    data: Mapping[str, str] | None = None,
    report: Report | None = None,
) -> Pruned:
    """Write the checkpoint in `folder` with `options.ratio` of its parameters removed to `output`, whole or not at all.
    `examples` are what importance is measured on, `data` their digests for the manifest. `report` cancels by raising.

    Raises what `torch_model.load` and `save` raise, CannotPrune, RatioImpossible, NothingToLearn."""
    require_free(output)
    if not any(example.learned[1:].any() for example in examples):
        raise NothingToLearn
    loaded = torch_model.load(folder)
    anatomy = Anatomy(loaded.model, folder)
    next(shapes(anatomy, options.ratio, options.parts, options.multiple))  # told before anything is measured
    require_room(output.parent, int(LEAST_KEPT * (1 - options.ratio) * loaded.parameters * loaded.dtype.itemsize))
    cutting = Cutting(anatomy, options, examples, report)
    tried, made = cutting.best()
    finished = torch_model.TorchModel(folder, made, loaded.tokenizer, loaded.dtype)
    before, after = loaded.parameters, finished.parameters
    notes = remarks(anatomy, tried[0], options.ratio, before)
    found = {
        "parameters": {"before": before, "after": after},
        "shape": tried[0].shape.words(anatomy.sharing),
        "tried": [_row(each, anatomy) for each in tried],
        "notes": [note.words("en") for note in notes],
    }
    step = Step("prune", asdict(options), options.seed, data or {}, found)
    return Pruned(torch_model.save(finished, output, step), tuple(tried), before, after, notes)


class Cutting:
    """One model, measured and priced once, cut to any shape."""

    def __init__(
        self, anatomy: Anatomy, options: PruneOptions, examples: Sequence[Example], report: Report | None = None
    ) -> None:
        self.anatomy, self.options, self.report = anatomy, options, report
        aside = max(1, int(len(examples) * SHARE)) if len(examples) > 1 else 0
        self.compared = examples[:aside] or examples
        self.found: Importance = measure(
            anatomy, examples[aside:], options.seed, span(report, 0.0, 0.6) if report else None
        )
        self.attention, self.inner = self._prices()

    def _prices(self) -> tuple[list[Removal], list[Removal]]:
        attention, inner = [], []
        for layer in range(self.anatomy.layers):
            self._tell(0.6 + 0.2 * layer / self.anatomy.layers, "weighing")
            heads, down = self.anatomy.parts(layer)
            criterion = self.options.criterion
            attention.append(removal(heads.weight.detach().float(), self.found.attention[layer], criterion))
            inner.append(removal(down.weight.detach().float(), self.found.inner[layer], criterion))
        return attention, inner

    def candidates(self) -> list[Tried]:
        """All shapes of the budget, the least expected loss first. Raises RatioImpossible."""
        found = []
        for each in shapes(self.anatomy, self.options.ratio, self.options.parts, self.options.multiple):
            shape = chosen(self.anatomy, each, self.found)
            expected = lost(self.anatomy, shape, self.found, self.attention, self.inner)
            found.append(Tried(shape, parameters(self.anatomy, shape), expected))
        return sorted(found, key=lambda tried: tried.expected)

    def best(self) -> tuple[list[Tried], Any]:
        """The first few candidates, really cut, in the order of what they lose; and the model that loses least."""
        tried: list[Tried] = []
        best: Any = None
        first = self.candidates()[: self.options.tries]
        for number, each in enumerate(first):
            self._tell(0.8 + 0.2 * number / len(first), "trying shapes")
            made = self.make(each.shape)
            loss = divergence(self.anatomy.model, made, packing.looked(self.compared, 16))
            if best is None or loss < min(one.divergence or 0.0 for one in tried):
                best = made
            tried.append(Tried(each.shape, each.parameters, each.expected, loss))
        return sorted(tried, key=lambda one: one.divergence or 0.0), best

    def make(self, shape: Shape) -> Any:
        """The model cut to `shape`, and repaired where that is wanted."""
        kept = self.kept(shape)
        made = cut(self.anatomy, kept)
        if self.options.repair:
            self._repair(made, kept)
        return made

    def kept(self, shape: Shape) -> Kept:
        """Which of each stay."""
        hidden = self.found.hidden.argsort()[self.anatomy.hidden - shape.hidden :].sort().values
        inner = tuple(each.kept(shape.inner) for each in self.inner)
        return Kept(shape.layers, hidden, inner, tuple(each.kept(shape.groups) for each in self.attention))

    def _repair(self, made: Any, kept: Kept) -> None:
        import torch

        anatomy, after = self.anatomy, Anatomy(made)
        for place, layer in enumerate(kept.layers):
            groups = spread(kept.groups[layer], anatomy.sharing * anatomy.head)
            columns = (groups, kept.inner[layer])
            known = (self.found.attention[layer], self.found.inner[layer])
            for old, new, matrix, stay in zip(anatomy.parts(layer), after.parts(place), known, columns, strict=True):
                if len(stay) < len(matrix.inputs):
                    fitted = repaired(old.weight.detach().float(), matrix, stay)
                    with torch.no_grad():
                        new.weight.copy_(fitted[kept.hidden])

    def _tell(self, fraction: float, stage: str) -> None:
        if self.report:
            self.report(Progress(fraction, stage))


def remarks(anatomy: Anatomy, tried: Tried, ratio: float, before: int) -> tuple[Said, ...]:
    """What a person should know of the shape: what was rounded, what engines will make of it."""
    found = []
    removed = 1 - tried.parameters / before
    if removed > ratio + ROUNDED:
        found.append(
            said("{removed:.1%} go instead of {ratio:.1%}: widths stay whole blocks", removed=removed, ratio=ratio)
        )
    full, shape = whole(anatomy), tried.shape
    width = anatomy.sharing * anatomy.head
    rows = {
        "inner": (full.inner, shape.inner),
        "hidden": (full.hidden, shape.hidden),
        "heads": (full.groups * width, shape.groups * width),
    }
    for part, (was, now) in rows.items():
        if was % BLOCK == 0 and now % BLOCK:
            found.append(
                said(
                    "{part}: rows of {now} are no multiple of 256; k-quants take another type there", part=part, now=now
                )
            )
    return tuple(found)


def _row(tried: Tried, anatomy: Anatomy) -> dict[str, object]:
    words = tried.shape.words(anatomy.sharing)
    return {**words, "parameters": tried.parameters, "expected": tried.expected, "divergence": tried.divergence}
