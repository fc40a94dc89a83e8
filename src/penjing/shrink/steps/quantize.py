"""The step `quantize`: fewer bits a weight, to a GGUF file; to a size, or as one of llama.cpp's mixtures.

Does not know: how types are chosen and numbers rounded (`shrink.quantize`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from penjing import amounts
from penjing.errors import InputError, ModelUnsupported, SettingError
from penjing.files import human, write_whole
from penjing.language import say
from penjing.plan import mixes, quality
from penjing.plan.said import Said, said
from penjing.probe.facts import Model
from penjing.probe.tensor import Tensor
from penjing.progress import Report, span
from penjing.shrink import container
from penjing.shrink.container import Info
from penjing.shrink.qat.layout import Layout
from penjing.shrink.quantize.errors import candidates, sampled
from penjing.shrink.quantize.faults import too_small
from penjing.shrink.quantize.mix import FLOATS, PRESETS, header, mix_of, quantizable
from penjing.shrink.quantize.way import Way, calibrated
from penjing.shrink.quantize.worth import FINE, groups
from penjing.shrink.quantize.write import require_floats
from penjing.shrink.regime import Regime
from penjing.shrink.steps.kind import Kind, Loss, Made, Named, Outlook, Pace, Work
from penjing.shrink.texts.known import FILES

if TYPE_CHECKING:
    from penjing.shrink.quantize.budget import Budgeted
    from penjing.shrink.quantize.mix import Quantized
    from penjing.shrink.texts.windows import Windows

CONVERTING, READING, UNTRAINED = 0.1, 0.2, 0.4
"""Of the time: a checkpoint folder has become a GGUF file; columns have been measured; what is trained is there."""
LEARNING = 8.0 / 8000.0
"""How long training takes for a weight and token, against coding the weight."""
LEARNED = "learned.gguf"
EXAMPLES, LENGTH = 8, 256
"""Of a step of training, about."""
HEADER_SHARE = 0.55
"""Bytes of a GGUF's header for a byte of tokenizer.json (the built-in model's)."""
MODELS_DIFFER = 3.0
"""How many times more or less a model may lose than the one that was measured."""
TINY, TINY_DIFFER = 100_000_000, 200.0
"""Models below so many parameters know little but may know it by heart: the built-in one loses 0.0002 nats in Q4_K_M
on its own questions, where the table has 0.031."""
MOSTLY = ("Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")
"""Mixtures that a file of so many bits is like."""
BITS = 4.5
"""A weight, where nothing is said."""
WHOLE_BYTES, TRAINED_BYTES = 2, 4
"""Of a number as a checkpoint is converted, and a file is tried; of one that learns."""
CONTEXT = 512
"""Tokens of a window."""
READ_SHARE = 2.0 / 8000.0
"""How long reading a token takes against coding a weight: two operations against some thousand."""
BLOCK = 256
"""Numbers that most types keep together."""


class NoCheckpoint(ModelUnsupported):
    """Facts: `path`."""

    template = "{path} cannot be trained: that takes a checkpoint, config.json with .safetensors files."
    hint = "Leave train and rounding out of the step, or begin with the model's checkpoint."
    code = "checkpoint_needed"


@dataclass(frozen=True)
class Quantize:
    """One of `to` (bytes of the file: 1.5GB), `bits` a weight on average, and `preset`, a mixture of llama.cpp's; 4.5
    bits where nothing is said. `texts` are what columns are measured on: files or built-in ones, `windows` windows of
    all together (by the model's size where not given). `train` steps of quantization-aware training follow, on the
    examples in the files `data` (none: the built-in calibration text): that takes a checkpoint, as `rounding`
    "autoround" does, which learns to round layer by layer, `iterations` steps for each ("feedback": errors are carried
    over, nothing is learned)."""

    to: str = ""
    bits: Annotated[float, msgspec.Meta(ge=1.5, le=16)] | None = None
    preset: str = ""
    texts: tuple[Named, ...] = ()
    windows: Annotated[int, msgspec.Meta(ge=4)] | None = None
    train: Annotated[int, msgspec.Meta(ge=0)] = 0
    data: tuple[Path, ...] = ()
    rounding: Literal["feedback", "autoround"] = "feedback"
    iterations: Annotated[int, msgspec.Meta(ge=1)] = 200

    def __post_init__(self) -> None:
        if self.train and self.rounding != "feedback":
            raise SettingError(name="train", value=self.train, wanted="left out where rounding is learned", source="")
        said = [name for name in ("to", "bits", "preset") if getattr(self, name)]
        if len(said) > 1:
            wanted = say("left out where {name} is given", name=said[0])
            raise SettingError(name=said[1], value=getattr(self, said[1]), wanted=wanted, source="")
        if self.preset and self.preset not in PRESETS:
            raise SettingError(name="preset", value=self.preset, wanted=", ".join(PRESETS), source="")
        if self.data and not self.train:
            raise SettingError(name="data", value=list(map(str, self.data)), wanted="left out without train", source="")
        try:
            _ = self.bytes
        except InputError as error:
            raise SettingError(name="to", value=self.to, wanted="a size, as 1.5GB", source="") from error

    @property
    def bytes(self) -> int:
        """Of the file at most; 0 where that is not said."""
        return amounts.size(self.to) if self.to else 0


def run(work: Work, options: Quantize) -> Made:
    """The file is `output/model.gguf`. A training goes on from the last state of a try that was stopped."""
    from penjing.shrink.output import whole_folder

    source = work.gguf(work.model, span(work.report, 0.0, CONVERTING))
    if options.train:
        return _trained(work, source, options)
    if options.rounding == "autoround":
        return _rounded(work, source, options)
    with whole_folder(work.output) as folder:
        found, data = _written(source, folder / "model.gguf", options, span(work.report, CONVERTING, 1.0))
    return Made(work.output / "model.gguf", found, data)


def _trained(work: Work, source: Path, options: Quantize) -> Made:
    from penjing.shrink.qat.options import Refining
    from penjing.shrink.qat.run import refine
    from penjing.shrink.steps.training import begun, builtin

    layout = _required(work)
    start, found, data = _start(work, source, options)
    learned = work.scratch / LEARNED
    learned.unlink(missing_ok=True)
    done = refine(
        work.model, start, options.data or (builtin(),), learned, Refining(steps=options.train), layout=layout,
        resume=begun(learned), report=span(work.report, UNTRAINED, 1.0),
    )  # fmt: skip
    return _given(work, {**found, "training": done.found}, {**data, **done.data})


def _rounded(work: Work, source: Path, options: Quantize) -> Made:
    from penjing.shrink.qat import rounding

    layout = _required(work)
    start, found, data = _start(work, source, options)
    learned = work.scratch / LEARNED
    learned.unlink(missing_ok=True)
    done = rounding.learned(
        work.model, start, _windows(source, options).tokens, learned,
        rounding.Rounding(iterations=options.iterations), layout=layout, report=span(work.report, UNTRAINED, 1.0),
    )  # fmt: skip
    return _given(work, {**found, "rounding": done.found}, data)


def _required(work: Work) -> Layout:
    """What learning needs. Raises ShrinkExtraMissing, NoCheckpoint."""
    from penjing.shrink import extra

    extra.require()
    if not work.model.is_dir() or work.layout is None:
        raise NoCheckpoint(path=str(work.model))
    return work.layout


def _start(work: Work, source: Path, options: Quantize) -> tuple[Path, dict[str, Any], dict[str, str]]:
    """The file that learning begins with, what is told of it and the digests of its texts; made once."""
    start, note = work.scratch / "start.gguf", work.scratch / "start.json"
    if not note.is_file():
        start.unlink(missing_ok=True)
        written = _written(source, start, options, span(work.report, CONVERTING, UNTRAINED))
        write_whole(note, msgspec.json.encode(written))
    found, data = msgspec.json.decode(note.read_bytes())
    return start, found, data


def _given(work: Work, found: dict[str, Any], data: dict[str, str]) -> Made:
    from penjing.shrink.output import whole_folder

    with whole_folder(work.output) as folder:
        (work.scratch / LEARNED).rename(folder / "model.gguf")
    return Made(work.output / "model.gguf", found, data)


def _written(source: Path, target: Path, options: Quantize, report: Report) -> tuple[Any, dict[str, str]]:
    from penjing.probe import single
    from penjing.shrink.quantize.budget import bytes_of, fit
    from penjing.shrink.quantize.collect import collect
    from penjing.shrink.quantize.sums import Sums
    from penjing.shrink.quantize.write import quantize

    if options.preset in FLOATS:
        return _told(quantize(source, target, options.preset, report=report)), {}
    windows = _windows(source, options)
    data = {windows.name: windows.digest}
    if not options.preset:
        size = options.bytes or bytes_of(single.read(source), options.bits or BITS)
        done = fit(source, target, size, windows, report=report)
        return {**_told(done.quantized), **_fitted(done, single.read(source), windows)}, data
    read = span(report, 0.0, READING)
    importance = collect(source, windows.tokens, texts=(windows.name,), products=True, report=read)
    written = quantize(source, target, options.preset, importance=importance, report=span(report, READING, 1.0))
    Sums(source, windows.tokens, products=True).forget()
    return _told(written), data


def _windows(source: Path, options: Quantize) -> Windows:
    from penjing.shrink.quantize.calibration import calibration
    from penjing.shrink.texts.known import texts

    named = [text for name in options.texts for text in texts(name)]
    return calibration(source, named or None, most=options.windows)


def _told(done: Quantized) -> dict[str, Any]:
    return {"label": done.label, "types": done.types, "fallbacks": done.fallbacks}


def _fitted(done: Budgeted, model: Model, windows: Windows) -> dict[str, Any]:
    return {
        "kl_expected": done.expected,
        "kl_calibration": done.measured,
        "files_tried": done.tried,
        "sensitivity": sensitivity(done, model, windows),
    }


def sensitivity(done: Budgeted, model: Model, windows: Windows) -> dict[str, float]:
    """What the model loses, in nats, if a tensor alone has about 3.5 bits a weight; by name."""
    from penjing.shrink.quantize.notes import Notes
    from penjing.shrink.quantize.worth import probe

    errors = Notes(model, {"text": windows.digest, "windows": list(windows.tokens.shape)}).kept.errors
    return {name: each * errors[name][probe(list(errors[name]))] for name, each in done.worth.items() if name in errors}


def foresee(before: Outlook, options: Quantize, pace: Pace) -> Outlook:
    """Bytes are exact for a mixture where the header is known, and a ceiling where a size was wished for. Raises
    AlreadyQuantized, BudgetTooSmall."""
    if before.form == "gguf":
        require_floats(before.model)
    tensors = mixes.gguf_names(before.model)
    weights = sum(tensor.elements for tensor in tensors)
    if options.preset:
        after = mixes.quantized(before.model, options.preset)
        size, exact, seen = file_bytes(before, after.tensors), before.header is not None, after.tensors
        tried, most = False, False
    else:
        size = options.bytes or bare_bytes(before, tensors) + round((options.bits or BITS) * weights / 8)
        require_possible(before, tensors, size)
        after, exact, seen = _like(before.model, size, weights), False, tensors
        tried = before.model.parameters <= FINE  # large ones are tried without a file
        most = bool(options.bytes) or (before.exact and before.header is not None)
    whole = (before.form == "checkpoint") + tried
    steps = options.iterations if options.rounding == "autoround" else options.train
    read = _way(before.model, tensors, options).tokens
    effort = weights * (read * READ_SHARE + steps * EXAMPLES * LENGTH * LEARNING)
    return before.then(
        model=after,
        form="gguf",
        bytes=size,
        exact=before.exact and exact,
        most=most,
        loss=before.loss + expected(after) if before.loss else None,
        effort=effort,
        seconds=pace.time("quantize", effort, "encode"),
        room=size + WHOLE_BYTES * weights * whole + _learning(options, weights, size),
        remarks=fallbacks(before.model, seen, options.preset),
    )


def _way(model: Model, tensors: Sequence[Tensor], options: Quantize) -> Way:
    if options.preset in FLOATS:
        return Way.to_mixture(0, CONTEXT)
    windows = options.windows or calibrated(model.parameters, CONTEXT)
    if options.preset:
        return Way.to_mixture(windows, CONTEXT)
    matrices = [tensor for tensor in tensors if quantizable(tensor.name, tensor.shape)]
    many = groups(model, [tensor.name for tensor in matrices])
    return Way.to_size(model.parameters, len(many), windows, CONTEXT, sample=sampled(matrices))


def _learning(options: Quantize, weights: int, size: int) -> int:
    """Bytes on disk of what is learned: the file it begins with, and its states."""
    states = Regime().room(TRAINED_BYTES * weights) if options.train else 0
    if options.rounding == "autoround":
        states = TRAINED_BYTES * weights
    return size + states if states else 0


def _like(model: Model, size: int, weights: int) -> Model:
    """`model` in the mixture that has about as many bits, stretched to `size` bytes."""
    bits = size * 8 / max(weights, 1)
    label = min(MOSTLY, key=lambda name: abs(known.bits - bits) if (known := quality.known(name)) else 99.0)
    return mixes.quantized(model, label, size)


def require_possible(before: Outlook, tensors: Sequence[Tensor], size: int) -> None:
    """Raises BudgetTooSmall where even the smallest types are too many bytes."""
    fewest = [_fewest(tensor) for tensor in tensors]
    least = file_bytes(before, fewest)
    if least > size:
        weights = max(sum(tensor.elements for tensor in tensors), 1)
        bits = (least - bare_bytes(before, tensors)) * 8 / weights
        raise too_small(before.model.path.name, size, human(least * 1.01), bits)


def _fewest(tensor: Tensor) -> Tensor:
    kind = candidates(tensor, True)[0] if quantizable(tensor.name, tensor.shape) else "F32"
    return Tensor(tensor.name, tensor.shape, kind, 0, 0)


def file_bytes(before: Outlook, tensors: Sequence[Tensor]) -> int:
    """Of the GGUF file with these tensors in it."""
    infos = [Info(tensor.name, tensor.shape, tensor.type) for tensor in tensors]
    header_bytes = before.header
    if header_bytes is None:
        words = before.model.path / "tokenizer.json"
        header_bytes = round(words.stat().st_size * HEADER_SHARE) if words.is_file() else 0
    return container.size([bytes(header_bytes), *header("F16")], infos)


def bare_bytes(before: Outlook, tensors: Sequence[Tensor]) -> int:
    """Of that file without its numbers."""
    numbers = sum(container.padded(Info(tensor.name, tensor.shape, tensor.type).bytes) for tensor in tensors)
    return file_bytes(before, tensors) - numbers


def fallbacks(model: Model, tensors: Sequence[Tensor], label: str) -> tuple[Said, ...]:
    """Told where rows are no multiple of a block: a mixture takes larger types, a choice has fewer."""
    if label:
        mix = mix_of(model, label)
        odd = [each for each in tensors if each.type != mix.wanted(each.name, len(each.shape))]
    else:
        odd = [each for each in tensors if quantizable(each.name, each.shape) and each.shape[-1] % BLOCK]
    if not odd:
        return ()
    facts = {"count": len(odd), "block": BLOCK, "name": odd[0].name, "width": odd[0].shape[-1]}
    if label:
        told = said(
            "{count} tensors get a larger type, since their rows are no multiple of {block} ({name}: {width}).", **facts
        )
    else:
        told = said(
            "Only some types fit {count} tensors, since their rows are no multiple of {block} ({name}: {width}).",
            **facts,
        )
    return (told,)


def expected(model: Model) -> Loss:
    """Of `model` as it will be, from published measurements of another one."""
    known = quality.of(model.quantization, model.bits_per_weight)
    if known.kl == 0:
        return Loss(0.0, 0.0, 0.0, "measured")
    less = TINY_DIFFER if model.parameters < TINY else MODELS_DIFFER
    return Loss(known.kl / less, known.kl, known.kl * MODELS_DIFFER)


QUANTIZE = Kind(
    "quantize", "Quantizing", Quantize, run, foresee, gives="gguf", libraries=("xllamacpp", "numpy"),
    names={"texts": FILES},
)  # fmt: skip
