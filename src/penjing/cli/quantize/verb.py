"""The verb `quantize`: the same model in fewer bits, to a size or as one of llama.cpp's mixtures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.verb import argument, option, verb
from penjing.errors import DiskFull, SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penjing.cli.local import Care
    from penjing.cli.quantize.wish import Wish
    from penjing.progress import Report
    from penjing.shrink.qat.rounding import Rounded
    from penjing.shrink.qat.run import Refined
    from penjing.shrink.quantize.budget import Budgeted
    from penjing.shrink.quantize.importance import Importance
    from penjing.shrink.quantize.mix import Quantized
    from penjing.shrink.texts.windows import Windows

NO_TEXT = "none"
PATH = "penjing quantize"


@verb(
    "quantize",
    help="Make a model smaller: fewer bits a weight. With a size or a number of bits each tensor gets the type with "
    "which the answers change least, as measured on calibration text; the result is a .gguf file.",
    examples=(
        ("penjing quantize guide --bits 4", "The best file of four bits a weight."),
        ("penjing quantize ./model --to 1.5GB", "The best file of at most 1.5 GB."),
        ("penjing quantize ./model --to 1.5GB --text notes.txt", "Calibrated on your own text."),
        ("penjing quantize ./model --preset Q4_K_M", "llama-quantize's mixture, rounded better."),
        ("penjing quantize ./model.gguf --preset Q4_K_M --text none", "As llama-quantize does it without a matrix."),
        ("penjing quantize ./model --to torch-nf4 -o few", "A checkpoint in few bits, for finetune; needs torch."),
        ("penjing quantize ./model --bits 2.7 --train 500 --data talks.jsonl", "Then trained, in the same bytes."),
    ),
)
@argument("model", metavar="MODEL", required=True)
@option(
    "--to",
    metavar="SIZE|FORM",
    help="The whole file in at most so many bytes: 1.5GB, 800MB. Or torch-int8, torch-int4, torch-nf4: a checkpoint "
    "folder to train adapters beside.",
)
@option("--bits", metavar="BITS", help="So many bits a weight on average, 1.5 to 16 (4.5).")
@option("--preset", metavar="NAME", help="One of llama.cpp's mixtures: Q2_K, Q3_K_M, Q4_K_M, Q5_K_M, Q6_K ...")
@option("--type", "types", metavar="PATTERN=TYPE", multiple=True, help="The type of tensors whose names match.")
@option(
    "--text",
    metavar="FILE|NAME",
    multiple=True,
    help="Calibration text: a .txt, .md, .jsonl or folder; calibration is built in, none is plain rounding.",
)
@option("--imatrix", metavar="FILE", help="Use this importance matrix (llama-imatrix's GGUF form) instead of a text.")
@option("--save-imatrix", metavar="FILE", help="Keep the importance matrix that was measured, for other programs too.")
@option("--plain", is_flag=True, help="Round each number by itself, as llama-quantize does: faster, loses more.")
@option("--rounding", metavar="NAME", help="feedback (errors are carried over), or autoround: learned. Needs torch.")
@option("--iterations", metavar="COUNT", help="Of --rounding autoround: steps for each layer; 200 where not given.")
@option("--train", metavar="STEPS", help="Then train what is quantized: at 2 and 3 bits that loses less. Needs torch.")
@option("--data", metavar="FILE", multiple=True, help="What --train learns from; the built-in text where not given.")
@option("--rate", metavar="NUMBER", help="Of --train: how far a number moves in a step, of the way to its next code.")
@option("--batch", metavar="COUNT", help="Examples a step; 8 where not given.")
@option("--minutes", metavar="COUNT", help="Minutes of computing at most.")
@option("--heldout", metavar="FILE", help="Examples to measure on; --held-out of the others where not given.")
@option("--device", metavar="NAME", help="auto, cpu, cuda or mps.")
@option("--resume", is_flag=True, help="Go on from the last state of a run that was stopped.")
@option("--threads", metavar="COUNT", help="Threads that compute; one for each physical core where not given.")
@option("--allow-untrusted", is_flag=True, default=None, help="Load it even if it is not signed, or was altered.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@option(
    "--output", "-o", metavar="FILE", help="The .gguf or folder that is written; MODEL-SIZE.gguf here where not given."
)
def quantize(model: str, as_json: bool, **given: Any) -> None:
    """The door."""
    from penjing.cli import local
    from penjing.cli.quantize import rounding, trainable
    from penjing.cli.quantize.shown import document, tell
    from penjing.cli.quantize.train import options as training_of
    from penjing.cli.quantize.train import train
    from penjing.cli.quantize.wish import wish
    from penjing.files import expanded
    from penjing.shrink.output import require_free

    form = trainable.form(given)
    if form is not None:
        trainable.write(model, form, given, as_json=as_json)
        return
    wanted = wish(given["to"], given["bits"], given["preset"], given["types"])
    how, rounded = rounding.options(given), None
    training, learned = training_of(given), None
    care = local.care(given)
    name, source = source_of(model, care)
    output = expanded(given["output"] or f"{name}-{wanted.label}.gguf")
    require_free(output)
    with _writing(output, name, training=training is not None):
        made = partial(_run, source, wanted=wanted, given=given)
        if how is not None:
            windows = _windows(source, given["text"], given["imatrix"])
            done, fitted, rounded = rounding.learn(model, output, how, windows, given, care, made)
        elif training is not None:
            done, fitted, learned = train(model, output, training, given, care, made)
        else:
            done, fitted = made(output)
    if as_json:
        page = document(source, done, fitted)
        page |= {"training": learned.found} if learned else {}
        talk.data_json({**page, "rounding": rounded.found} if rounded else page)
        return
    tell(model, source, done, fitted)
    if learned or rounded:
        _tell_learned(learned, rounded)
    talk.data(str(output))


def _tell_learned(learned: Refined | None, rounded: Rounded | None) -> None:
    """What a training, and what learning to round have brought."""
    from penjing.cli.quantize import rounding
    from penjing.cli.quantize.train import tell

    if learned:
        tell(learned)
    if rounded:
        rounding.tell(rounded)


@contextmanager
def _writing(output: Path, name: str, *, training: bool) -> Iterator[None]:
    """Around all that makes `output` of the model `name`. Raises OutputBusy."""
    from penjing.shrink.alone import alone
    from penjing.shrink.quantize.faults import BudgetTooSmall

    try:
        with alone(output):
            yield
    except BudgetTooSmall as error:  # which knows the name of a file
        raise BudgetTooSmall(**{**error.facts, "model": name}) from error
    except (KeyboardInterrupt, DiskFull):
        if not training:  # which tells itself what it keeps
            talk.note("Stopped; nothing was written. What was measured is kept: the same command goes on from there.")
        raise


def source_of(model: str, care: Care) -> tuple[str, Path]:
    """What it is called, and a .gguf with its weights as they were trained (a checkpoint is converted once). Raises
    NotHere, NotWhileSealed, and what `fetching.found` and conversions raise."""
    from penjing.cli.fetching import found
    from penjing.cli.model import NotHere, is_url
    from penjing.cli.progress import shown
    from penjing.cli.training import warn_of_licence
    from penjing.store.seal.faults import NotWhileSealed

    if is_url(model):
        raise NotHere(model=model)
    kept = found(model, None, care)
    if kept.kind == "sealed":
        raise NotWhileSealed(option=PATH, model=model, detail="the smaller copy would lie on disk unsealed.")
    warn_of_licence(kept.name, kept.source)
    if kept.kind != "gguf":
        kept = found(model, 16, care)
    with shown() as report:
        return kept.name, kept.make(report)


def _run(source: Path, output: Path, wanted: Wish, given: dict[str, Any]) -> tuple[Quantized, Budgeted | None]:
    from penjing.cli.progress import shown
    from penjing.shrink.quantize.sums import Sums

    threads = _threads(given["threads"])
    with shown() as report:
        windows = _windows(source, given["text"], given["imatrix"])
        if wanted.preset:
            known = _importance(source, windows, given, threads, report)
            done = _preset(source, output, wanted, known, report)
            if windows is not None:
                Sums(source, windows.tokens, products=not given["plain"]).forget()
            return done, None
        return _fitted(source, output, wanted, windows, given, threads, report)


def _windows(source: Path, names: Sequence[str], imatrix: str | None) -> Windows | None:
    """Calibration text as the model reads it; None where there is to be none. Raises NoneBeside, NoSuchText, NotAText,
    TextTooShort, WrongLanguage."""
    from penjing.cli.quantize.wish import NoneBeside
    from penjing.shrink.quantize.calibration import calibration
    from penjing.shrink.texts.known import texts

    if NO_TEXT in names:
        if len(names) > 1:
            raise NoneBeside
        return None
    if imatrix and not names:
        return None
    return calibration(source, [text for name in names for text in texts(name)] if names else None)


def _importance(
    source: Path, windows: Windows | None, given: dict[str, Any], threads: int, report: Report
) -> Importance | None:
    """What the columns are worth: from a file, or measured, or unknown."""
    from penjing.files import expanded
    from penjing.shrink.quantize.collect import collect
    from penjing.shrink.quantize.importance import load, save

    if given["imatrix"]:
        return load(expanded(given["imatrix"]))
    if windows is None:
        return None
    found = collect(
        source,
        windows.tokens,
        texts=(windows.name,),
        products=not given["plain"],
        threads=threads or None,
        report=report,
    )
    if found.unseen():
        talk.warn(
            "No token of the text went to some experts of {count} matrices; give more text, or text of more kinds.",
            count=len(found.unseen()),
        )
    if given["save_imatrix"]:
        talk.note("Written: {path}", path=save(expanded(given["save_imatrix"]), found))
    return found


def _preset(source: Path, output: Path, wanted: Wish, known: Importance | None, report: Report) -> Quantized:
    from penjing.probe import single
    from penjing.shrink.quantize.mix import mix_of
    from penjing.shrink.quantize.write import quantize as write

    if not wanted.types:
        return write(source, output, str(wanted.preset), importance=known, report=report)
    model = single.read(source)
    mix = mix_of(model, str(wanted.preset), weighed=known is not None)
    chosen = {one.name: mix.wanted(one.name, len(one.shape)) for one in model.tensors}
    chosen |= typed(wanted, list(chosen))
    return write(source, output, chosen, importance=known, report=report)


def typed(wanted: Wish, names: Sequence[str]) -> dict[str, str]:
    """The tensors that a person gave a type. Raises SettingError for a pattern that finds none."""
    found: dict[str, str] = {}
    for pattern, kind in wanted.types:
        matching = [name for name in names if pattern.search(name)]
        if not matching:
            raise SettingError(name="type", value=pattern.pattern, wanted="part of a tensor's name", source="--type")
        found = dict.fromkeys(matching, kind) | found
    return found


def _fitted(
    source: Path,
    output: Path,
    wanted: Wish,
    windows: Windows | None,
    given: dict[str, Any],
    threads: int,
    report: Report,
) -> tuple[Quantized, Budgeted]:
    from penjing.cli.quantize.wish import TextNeeded
    from penjing.probe import single
    from penjing.progress import span
    from penjing.shrink.quantize.budget import bytes_of, fit, require_possible

    if windows is None:
        raise TextNeeded
    model = single.read(source)
    size = wanted.bytes if wanted.bytes is not None else bytes_of(model, wanted.bits or 0)
    fixed = typed(wanted, [one.name for one in model.tensors])
    require_possible(model, size, fixed)
    known = _importance(source, windows, given, threads, span(report, 0.0, 0.1))
    done = fit(
        source, output, size, windows, fixed=fixed, importance=known, threads=threads, report=span(report, 0.1, 1.0)
    )
    return done.quantized, done


def _threads(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isdecimal() and 0 < int(text) <= 1024):
        raise SettingError(name="threads", value=text, wanted="a whole number of at least 1", source="--threads")
    return int(text)
