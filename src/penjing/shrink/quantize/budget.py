"""The best file of a size: each tensor's type chosen so that the measured divergence from the source is least.

    calibrate -> errors of every tensor at every type -> what an error costs, measured -> allocate -> refine -> write

Does not know: where texts come from, how a size is spelled.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from penjing.files import human, require_room
from penjing.plan import mixes
from penjing.probe import single
from penjing.probe.facts import Model
from penjing.probe.ggml import row_bytes
from penjing.probe.tensor import Tensor
from penjing.progress import Progress, Report, span
from penjing.shrink.blas import one_thread
from penjing.shrink.container import padded
from penjing.shrink.quantize.allocate import Chosen, Option, allocate, cost
from penjing.shrink.quantize.collect import collect
from penjing.shrink.quantize.errors import candidates, errors, sampled
from penjing.shrink.quantize.faults import too_small
from penjing.shrink.quantize.importance import Importance
from penjing.shrink.quantize.mix import Quantized, quantizable
from penjing.shrink.quantize.notes import Notes, digest
from penjing.shrink.quantize.refine import EXCHANGES, kinds, refine
from penjing.shrink.quantize.sums import Sums
from penjing.shrink.quantize.trial import Trial, trial
from penjing.shrink.quantize.way import Way
from penjing.shrink.quantize.workshop import file_bytes
from penjing.shrink.quantize.worth import FINE, groups, worth
from penjing.shrink.quantize.write import quantize, require_floats
from penjing.shrink.stream import cores
from penjing.shrink.texts.windows import Windows


@dataclass(frozen=True)
class Budgeted:
    """What was made: `types` by tensor, `expected` and `measured` divergence (nats; on calibration text, `measured`
    None for models that are too large to try) and what was `tried`."""

    quantized: Quantized
    types: dict[str, str]
    expected: float
    measured: float | None
    tried: int
    worth: dict[str, float] = field(default_factory=dict, repr=False)


@one_thread()
def fit(
    source: Path,
    target: Path,
    size: int,
    windows: Windows,
    *,
    fixed: Mapping[str, str] | None = None,
    importance: Importance | None = None,
    threads: int = 0,
    report: Report | None = None,
) -> Budgeted:
    """Write the F32, F16 or BF16 model `source` to `target` in at most `size` bytes (the whole file), calibrated on
    `windows`. Tensors in `fixed` get that type. `importance` is measured where it is not given. What was measured is
    kept for the next time. Raises BudgetTooSmall, and DiskFull where a small model's whole file cannot be tried, before
    anything is measured, and what `quantize` and `collect` raise; `report` cancels by raising."""
    model = single.read(source)
    require_floats(model)
    require_possible(model, size, fixed or {})
    if model.parameters <= FINE:
        require_room(target.parent, file_bytes(model, {}))
    told = report or (lambda progress: None)
    way = _way(model, windows, importance is not None)
    if importance is None:
        importance = collect(
            source, windows.tokens, texts=(windows.name,), products=True, threads=threads or None,
            report=span(told, 0.0, way.starts[0]),
        )  # fmt: skip
    target.parent.mkdir(parents=True, exist_ok=True)
    with Work(model, importance, windows, threads, target, told, way) as work:
        chosen = work.choose(size, fixed or {})
    types = {name: each.kind for name, each in chosen.items()}
    done = quantize(source, target, types, importance=importance, report=span(told, way.starts[-1], 1.0))
    Sums(source, windows.tokens, products=True).forget()
    return Budgeted(done, types, cost(chosen), work.best, len(work.notes.kept.kl), work.worth)


def _way(model: Model, windows: Windows, known: bool) -> Way:
    matrices = _matrices(model)
    many = groups(model, [tensor.name for tensor in matrices])
    return Way.to_size(model.parameters, len(many), *windows.tokens.shape, sample=sampled(matrices), known=known)


def require_possible(model: Model, size: int, fixed: Mapping[str, str]) -> None:
    """Raises BudgetTooSmall where even the smallest types are too many bytes."""
    least = least_bytes(model, fixed)
    if least > size:
        raise too_small(model.path.name, size, _ceiling(least), bits_in(model, least))


def _ceiling(size: int) -> str:
    """A size in words that is not less than it."""
    for step in (1_000_000_000, 1_000_000, 1_000):
        if size >= step:
            return human(-(-size * 10 // step) * step / 10)
    return human(size)


def least_bytes(model: Model, fixed: Mapping[str, str] | None = None) -> int:
    """Bytes of the smallest possible file of `model`, the tensors in `fixed` of that type."""
    fewest = {tensor.name: candidates(tensor, True)[0] for tensor in _matrices(model)}
    shapes = {tensor.name: tensor.shape for tensor in model.tensors}
    given = {name: mixes.fitting(kind, shapes[name]) for name, kind in (fixed or {}).items()}
    return file_bytes(model, {**fewest, **given})


def bytes_of(model: Model, bits: float) -> int:
    """Bytes of a file of `model` with so many `bits` a weight on average, header and vocabulary included."""
    return _bare(model) + round(_weights(model) * bits / 8)


def bits_in(model: Model, size: int) -> float:
    """Bits a weight on average with which a file has `size` bytes, to two places, rounded up."""
    return math.ceil((size - _bare(model)) * 800 / _weights(model)) / 100


def _bare(model: Model) -> int:
    """Bytes of a file without its numbers."""
    return file_bytes(model, {}) - sum(padded(tensor.bytes) for tensor in model.tensors)


def _weights(model: Model) -> int:
    return sum(tensor.elements for tensor in model.tensors)


def _matrices(model: Model) -> list[Tensor]:
    return [tensor for tensor in model.tensors if quantizable(tensor.name, tensor.shape)]


class Work:
    """One model, what is known of it, and how files of it are tried."""

    def __init__(
        self, model: Model, importance: Importance, windows: Windows, threads: int, target: Path, report: Report,
        way: Way,
    ) -> None:  # fmt: skip
        self.model, self.importance, self.report, self.way = model, importance, report, way
        self.windows, self.threads = windows, threads
        self.notes = Notes(model, {"text": windows.digest, "windows": list(windows.tokens.shape)})
        self.tensors = {one.name: one for one in _matrices(model)}
        self.best: float | None = None
        self.worth: dict[str, float] = {}
        self._trial: Trial | None = None
        self._place = tempfile.TemporaryDirectory(prefix=f".{target.name}.", suffix=".part", dir=target.parent)

    def __enter__(self) -> Work:
        return self

    def __exit__(self, *_: object) -> None:
        self._place.cleanup()
        if self._trial is not None:
            self._trial.close()

    def choose(self, size: int, fixed: Mapping[str, str]) -> Chosen:
        """The types, refined where the model is small enough to be tried."""
        trying, measuring, refining, writing = self.way.starts
        found = self.errors(span(self.report, trying, measuring))
        many = groups(self.model, list(self.tensors))
        self.worth = worth(many, found, self.counted(len(many), "measuring", measuring, refining))
        options = self.options(found, self.worth)
        for name, kind in fixed.items():
            if name in options:
                kind = mixes.fitting(kind, self.tensors[name].shape)
                known = [each for each in options[name] if each.kind == kind]
                options[name] = known or [Option(kind, self.bytes(name, kind), 0.0)]
        plain = sum(self.bytes(name, tensor.type) for name, tensor in self.tensors.items())
        room = size - (file_bytes(self.model, {}) - plain)
        chosen = allocate(options, room)
        if self.model.parameters > FINE:
            return chosen
        kl = self.counted(len(many) + 2 * EXCHANGES, "refining", refining, writing)
        chosen, self.best = refine(options, chosen, room, lambda one: kl(kinds(one)))
        return chosen

    def counted(self, expected: int, stage: str, first: float, last: float) -> Callable[[dict[str, str]], float]:
        """`kl` that reports itself as a stage of about `expected` measurements."""
        done = 0

        def measured(types: dict[str, str]) -> float:
            nonlocal done
            self.report(Progress(first + (last - first) * min(1.0, done / expected), stage))
            done += 1
            return self.kl(types)

        return measured

    def bytes(self, name: str, kind: str) -> int:
        """Bytes that a tensor takes in the file."""
        tensor = self.tensors[name]
        return padded(tensor.elements // tensor.shape[-1] * row_bytes(kind, tensor.shape[-1]))

    def options(self, found: Mapping[str, Mapping[str, float]], prices: Mapping[str, float]) -> dict[str, list[Option]]:
        """What each tensor may have, and what it costs."""
        return {
            name: [Option(kind, self.bytes(name, kind), prices[name] * error) for kind, error in each.items()]
            for name, each in found.items()
        }

    def errors(self, report: Report) -> dict[str, dict[str, float]]:
        """Of every tensor at every type that it may have."""
        known = self.notes.kept.errors
        left = [tensor for name, tensor in self.tensors.items() if name not in known]
        with ThreadPoolExecutor(cores()) as pool:
            waiting = [pool.submit(self._errors, tensor) for tensor in left]
            try:
                for number, (tensor, each) in enumerate(zip(left, waiting, strict=True)):
                    report(Progress(number / len(left), "trying types"))
                    known[tensor.name] = each.result()
                    self.notes.write()
            finally:
                for each in waiting:
                    each.cancel()
        return {name: known[name] for name in self.tensors}

    def _errors(self, tensor: Tensor) -> dict[str, float]:
        kinds = candidates(tensor, tensor.name in self.importance.columns)
        return errors(self.model, tensor, kinds, self.importance)

    def kl(self, types: dict[str, str]) -> float:
        """Divergence of the file with these types, nats; measured once."""
        key, known = digest(types), self.notes.kept.kl
        if key not in known:
            if self._trial is None:
                folder = Path(self._place.name)
                self._trial = trial(self.model, self.importance, self.windows, self.threads, folder)
            known[key] = self._trial.kl(types)
            self.notes.write()
        return known[key]
