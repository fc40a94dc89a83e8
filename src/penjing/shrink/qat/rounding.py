"""Learned rounding (SignRound, arXiv:2309.05516; AutoRound is its authors' own program): layer after layer, each number
may move by up to half a code, and scales a little, so that the layer's output is as the original's.

    OUTPUT.rounding/run.json         what the run is of
    OUTPUT.rounding/layer-0003.pt    what layer 3 learned: a run that was stopped goes on behind it
    OUTPUT                           the .gguf, whole or not there

Unlike training (`run`), no gradient passes more than one layer, what is compared are a layer's outputs and not the
model's answers, and steps have the sign of the gradient alone: it is quicker, and needs no examples, only text.

Does not know: names of models, how the file that it begins with was made, where texts come from.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from penjing import manifest
from penjing.errors import SettingError
from penjing.files import write_whole
from penjing.probe import single
from penjing.progress import Progress, Report
from penjing.shrink import checkpoints, lineage, torch_model, work
from penjing.shrink.finetune import adapter
from penjing.shrink.output import require_free
from penjing.shrink.qat.faults import NotTrainable
from penjing.shrink.qat.layout import Layout
from penjing.shrink.qat.matrix import Matrix
from penjing.shrink.qat.student import Student, student
from penjing.shrink.qat.written import written

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter

ENDING, PAGE = ".rounding", "run.json"
HALF = 0.5
"""How far a number may move, in codes."""
TOTAL = 0.5
"""How far a number can move in all iterations together: the rate begins at 2 * TOTAL / iterations and falls to 0 (the
paper's 1 / iterations)."""
LOOKS = 4
"""How often a layer is measured while it learns; what was best is kept."""
MEASURED = 4
"""Batches that it is measured on."""
LOADED, LEARNED = 0.05, 0.97
"""Of the way: both models are there; all layers have learned."""


@dataclass(frozen=True)
class Rounding:
    """`iterations` for each layer, on batches of `batch` windows of `length` tokens; at most `most` windows are read.
    The paper's figures are 200, 8, 2048 and 512; shorter windows give the same for less memory (all inputs of a layer
    are in it, three times). Raises SettingError."""

    iterations: int = 200
    batch: int = 8
    length: int = 256
    most: int = 512
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("iterations", "batch", "length", "most"):
            if getattr(self, name) < 1:
                facts = {"name": name, "value": getattr(self, name), "wanted": "a whole number of at least 1"}
                raise SettingError(**facts, source="the options of rounding")


@dataclass(frozen=True)
class Rounded:
    """What a run made. `before` and `after`: the error of each layer's output, relative to the output's own size."""

    output: Path
    iterations: int
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def found(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {"iterations": self.iterations, "before": list(self.before), "after": list(self.after)}


class Kept(msgspec.Struct):
    """One layer that has learned."""

    before: float
    after: float


def folder_of(output: Path) -> Path:
    """Where a run for `output` keeps what it has."""
    return output.with_name(output.name + ENDING)


def learned(
    original: Path,
    start: Path,
    tokens: NDArray[np.int32],
    output: Path,
    options: Rounding,
    *,
    layout: Layout,
    report: Report | None = None,
) -> Rounded:
    """Write the quantized file `start`, made of the checkpoint folder `original`, to `output` with its codes and scales
    learned on `tokens` [n, context]. The same call goes on where another was stopped.

    Raises StartOfAnother, NotTrainable, DeviceUnavailable, AlreadyRunning and what loading raises."""
    tell = report or (lambda progress: None)
    require_free(output)
    folder = folder_of(output)
    tell(Progress(0.0, "loading"))
    place = adapter.device(options.device)
    windows = cut(tokens, options)
    with work.opened(folder):
        _ready(folder, original, start, windows, options)
        teacher, loaded = (torch_model.load(original, device=place) for _ in range(2))
        teacher.model.requires_grad_(False)
        file = single.read(start)
        learner = student(loaded, file, layout(original), place)
        layers = Layers(teacher.model, learner, original, windows, options, place)
        kept = [layers.round(at, folder / f"layer-{at:04}.pt", tell) for at in range(len(layers.theirs))]
        written(learner, file, output, lambda progress: tell(Progress(LEARNED, progress.stage)))
    shutil.rmtree(folder, ignore_errors=True)
    tell(Progress(1.0, "writing"))
    return Rounded(output, options.iterations, tuple(one.before for one in kept), tuple(one.after for one in kept))


def cut(tokens: NDArray[np.int32], options: Rounding) -> NDArray[np.int64]:
    """Batches of windows [batches, batch, length]; what fills no batch is left out."""
    length = min(options.length, tokens.shape[1])
    per = tokens.shape[1] // length
    rows = tokens[:, : per * length].reshape(-1, length)[: options.most].astype(np.int64)
    batch = min(options.batch, len(rows))
    return rows[: len(rows) // batch * batch].reshape(-1, batch, length)


def _ready(folder: Path, original: Path, start: Path, windows: NDArray[np.int64], options: Rounding) -> None:
    """What another run left is removed."""
    digest = manifest.digest(start), lineage.parent_digest(original), lineage.digest_texts([str(windows.tolist())])
    page = msgspec.json.encode({"of": digest, "options": asdict(options)})
    if not (folder / PAGE).is_file() or (folder / PAGE).read_bytes() != page:
        for old in folder.glob("layer-*.pt"):
            old.unlink()
        write_whole(folder / PAGE, page)


class Layers:
    """The original's layers and the learner's, and what goes into the next one of each: [batches, batch, length,
    width]."""

    def __init__(
        self,
        teacher: Any,
        learner: Student,
        path: Path,
        windows: NDArray[np.int64],
        options: Rounding,
        device: str,
    ) -> None:
        import torch

        self.learner, self.options = learner, options
        self.theirs, self.ours = (stack(model, path) for model in (teacher, learner.model))
        batches = [torch.from_numpy(each).to(device) for each in windows]
        self.arguments = arguments(teacher, self.theirs, batches[0])
        self.wanted = [entering(teacher, self.theirs[0], each) for each in batches]
        self.given = [entering(learner.model, self.ours[0], each) for each in batches]
        self.random = np.random.default_rng(options.seed)

    def round(self, at: int, path: Path, report: Report) -> Kept:
        """Layer `at` learns, or gets what an earlier run kept in `path`; then the inputs are those of the next."""
        import torch

        theirs, ours, more = self.theirs[at], self.ours[at], self.arguments[at]
        count = len(self.theirs)
        with torch.no_grad():
            self.wanted = [first(theirs(each, **more)) for each in self.wanted]
        moving = self._moving(ours)
        order = self.random.integers(len(self.given), size=self.options.iterations)

        def tell(share: float) -> None:
            report(Progress(LOADED + (LEARNED - LOADED) * (at + share) / count, "rounding"))

        tell(0.0)
        if path.is_file():
            state = checkpoints.read(path)
            put(moving, state["moving"])
            found = Kept(state["before"], state["after"])
        else:
            found = self._learn(ours, more, moving, order.tolist(), tell)
            checkpoints.write(path, {"moving": copied(moving), "before": found.before, "after": found.after})
        with torch.no_grad():
            self.given = [first(ours(each, **more)) for each in self.given]
        return found

    def _moving(self, layer: Any) -> dict[str, Matrix]:
        """The matrices of a layer."""
        mine = {id(each) for each in layer.parameters()}
        return {
            name: matrix
            for name, matrix in self.learner.matrices.items()
            if any(id(each) in mine for each in matrix.learned.values())
        }

    def _learn(
        self, layer: Any, more: Mapping[str, Any], moving: Mapping[str, Matrix], order: Sequence[int], tell: Any
    ) -> Kept:
        import torch

        free = [(each, span(name, each)) for matrix in moving.values() for name, each in matrix.learned.items()]
        before = best = self._error(layer, more)
        kept = copied(moving)
        every = max(1, len(order) // LOOKS)
        for step, batch in enumerate(order):
            tell(step / len(order))
            apart = first(layer(self.given[batch], **more)) - self.wanted[batch]
            gradients = torch.autograd.grad(apart.square().mean(), [each for each, _ in free], allow_unused=True)
            rate = 2 * TOTAL / len(order) * (1 - step / len(order))
            with torch.no_grad():
                for (each, ends), gradient in zip(free, gradients, strict=True):
                    if gradient is not None:
                        each -= rate * gradient.sign()
                        each.clamp_(*ends) if ends else None
            if (step + 1) % every == 0 and (now := self._error(layer, more)) < best:
                best, kept = now, copied(moving)
        put(moving, kept)
        return Kept(before, best)

    def _error(self, layer: Any, more: Mapping[str, Any]) -> float:
        """Of the output, relative to its size, on the first batches."""
        import torch

        apart = size = 0.0
        with torch.no_grad():
            for given, wanted in list(zip(self.given, self.wanted, strict=True))[:MEASURED]:
                apart += float((first(layer(given, **more)) - wanted).double().square().sum())
                size += float(wanted.double().square().sum())
        return apart / max(size, 1e-30)


def span(name: str, values: Parameter) -> tuple[Tensor, Tensor] | None:
    """Between what numbers may move: codes by HALF from where they are, others (None) freely."""
    return (values.detach() - HALF, values.detach() + HALF) if name == "codes" else None


def copied(moving: Mapping[str, Matrix]) -> dict[str, dict[str, Tensor]]:
    """What was learned."""
    return {
        name: {part: each.detach().cpu().clone() for part, each in matrix.learned.items()}
        for name, matrix in moving.items()
    }


def put(moving: Mapping[str, Matrix], kept: Mapping[str, Mapping[str, Tensor]]) -> None:
    """`copied`, undone."""
    import torch

    with torch.no_grad():
        for name, matrix in moving.items():
            for part, each in matrix.learned.items():
                each.copy_(kept[name][part])


def stack(model: Any, path: Path) -> list[Any]:
    """The layers of a model. Raises NotTrainable."""
    import torch

    count = model.config.get_text_config().num_hidden_layers
    for each in model.modules():
        if isinstance(each, torch.nn.ModuleList) and len(each) == count:
            return list(each)
    raise NotTrainable(path=str(path), tensor="layers")


def first(made: Any) -> Any:
    """A layer's output, whatever it gives besides."""
    return made[0] if isinstance(made, tuple) else made


class _Seen(Exception):
    """Enough was computed."""


def arguments(model: Any, layers: Sequence[Any], tokens: Tensor) -> list[dict[str, Any]]:
    """What each layer is called with besides its input: the same for all batches, which are as long and as many."""
    import torch

    found: list[dict[str, Any]] = []
    handles = [
        layer.register_forward_pre_hook(lambda module, given, named: found.append(dict(named)), with_kwargs=True)
        for layer in layers
    ]
    try:
        with torch.no_grad():
            model(input_ids=tokens, use_cache=False)
    finally:
        for each in handles:
            each.remove()
    return [{name: value for name, value in one.items() if name != "hidden_states"} for one in found]


def entering(model: Any, layer: Any, tokens: Tensor) -> Tensor:
    """What goes into the first layer, [batch, length, width]."""
    import torch

    seen: list[Any] = []

    def stop(module: Any, given: Any, named: Any) -> None:
        seen.append(given[0] if given else named["hidden_states"])
        raise _Seen

    handle = layer.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        with torch.no_grad():
            model(input_ids=tokens, use_cache=False)
    except _Seen:
        pass
    finally:
        handle.remove()
    found: Tensor = seen[0]
    return found
