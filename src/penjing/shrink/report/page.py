"""The page of a result: texts in both languages, the pictures, one file that needs nothing else.

Does not know: where it is written, what was typed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from penjing.files import human
from penjing.plan import mixes
from penjing.plan.quality import grade, known
from penjing.plan.report.frame import About, in_both, render
from penjing.plan.said import Said, said
from penjing.probe import model as probe
from penjing.shrink import lineage
from penjing.shrink.recipe import chosen
from penjing.shrink.report import bitmap, landscape, sensitivity
from penjing.shrink.report.answers import Answered
from penjing.shrink.report.findings import findings
from penjing.shrink.report.landscape import Point
from penjing.shrink.run import Result, Taken

TITLES = {
    "shrink": "Shrunk",
    "map": "Quality and size",
    "bits": "Bits of each tensor",
    "sensitivity": "What each layer is worth",
    "steps": "What was done",
    "answers": "Answers before and after",
    "lineage": "Where it comes from",
}
LEGENDS = {
    "map": "Further up is closer to the model it was made from.",
    "published": "Full dots were measured on this model; hollow ones were published for another, Llama 3 8B: this one "
    "may lose more or less.",
    "bits": "A column is a layer. Where a quantization chooses types itself, tensors that matter more have more bits.",
    "sensitivity": "Measured: the divergence when the tensors of one layer alone have about 3.5 bits.",
}
HEADS = ("step", "options", "size", "expected", "took", "found")
USUAL = ("Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")


def page(about: About, result: Result, answers: Sequence[Answered], language: str = "en") -> str:
    """The whole file. `language` is shown first; the reader may switch."""
    return render("shrink.html", shown(about, result, answers, language))


def shown(about: About, result: Result, answers: Sequence[Answered], language: str) -> dict[str, Any]:
    """What the template shows. Texts of `both` and pictures are markup already."""
    from markupsafe import Markup

    def both(sentence: Said) -> Markup:
        return Markup(in_both(sentence))

    manifest = result.manifest
    tensors = probe.read(result.model).tensors
    losses: Mapping[str, float] = next(
        (each.found["sensitivity"] for each in result.taken if "sensitivity" in each.found), {}
    )
    points = peers(result)
    return {
        "about": about,
        "language": language,
        "both": both,
        "said": said,
        "verb": "shrink",
        "eyebrow": both(said(TITLES["shrink"])),
        "titles": {name: both(said(title)) for name, title in TITLES.items()},
        "legends": {name: both(said(legend)) for name, legend in LEGENDS.items()},
        "place": both(said("made from {model}", model=about.name)),
        "verdict": verdict(kl(manifest.quality)),
        "summary": both(summary(result)),
        "more": [both(sentence) for sentence in sentences(result)],
        "cards": [(both(name), value, both(more)) for name, value, more in cards(result)],
        "map": Markup(landscape.draw(points)) if points else None,
        "published": any(point.origin == "published" for point in points),
        "bits": Markup(bitmap.draw(tensors)) if result.model.suffix == ".gguf" else None,
        "sensitivity": Markup(sensitivity.draw(losses)) or None,
        "heads": [both(said(head)) for head in HEADS],
        "steps": [cells(result, at, each) for at, each in enumerate(result.taken)],
        "answers": answers,
        "facts": [(both(name), value) for name, value in (*about.facts, *facts(result))],
        "recipe": str(manifest.recipe.get("text", "")),
    }


def kl(quality: Mapping[str, Any]) -> float | None:
    """The measured divergence, nats; None where none was measured."""
    against = (quality.get("text") or {}).get("against")
    return float(against["kl"]["value"]) if against else None


def verdict(loss: float | None) -> str:
    """The colour of the summary: as plans have it."""
    if loss is None:
        return "shorter"
    return "fits" if loss <= 0.05 else "shorter" if loss <= 0.5 else "no"


def summary(result: Result) -> Said:
    """The first sentence."""
    before, after = result.order.plan.before.bytes, size(result)
    facts = {"after": human(after), "before": human(before), "share": f"{100 * after / max(before, 1):.0f}"}
    loss = kl(result.quality)
    if loss is None:
        return said("{after} instead of {before} ({share} %).", **facts)
    return said("{after} instead of {before} ({share} %): {grade}.", **facts, grade=said(grade(loss)))


def sentences(result: Result) -> Iterator[Said]:
    """What is told below it."""
    foreseen, loss = result.order.plan.after.loss, kl(result.quality)
    if foreseen is not None and loss is not None and foreseen.high > 0:
        yield said(
            "A loss of {low} to {high} nats was expected; {loss} was measured.",
            low=f"{foreseen.low:.2g}",
            high=f"{foreseen.high:.2g}",
            loss=f"{loss:.2g}",
        )
    if loss is None and any(each.kind.words for each in result.taken):
        yield said(
            "Words were added: its predictions cannot be compared with the original's one by one, so there is no "
            "picture of size against quality."
        )
    if lineage.forbids_derivatives(result.order.licence):
        yield said("Its licence ({licence}) forbids to pass changed copies on.", licence=result.order.licence)


def size(result: Result) -> int:
    """Bytes of the weights' files."""
    return int(str(result.manifest.facts["bytes"]))


def cards(result: Result) -> Iterator[tuple[Said, str, Said]]:
    """The figures that people look for: name, value, what is beside it."""
    quality, facts = result.quality, result.manifest.facts
    yield said("size"), human(size(result)), said("of {size}", size=human(result.order.plan.before.bytes))
    yield (
        said("bits a weight"),
        f"{facts['bits_per_weight']:.2f}",
        said("{count} weights", count=f"{facts['parameters']:,}"),
    )
    text = quality.get("text") or {}
    if against := text.get("against"):
        loss, same = against["kl"], against["same"]
        between = said("nats; between {low} and {high}", low=f"{loss['low']:.2g}", high=f"{loss['high']:.2g}")
        yield said("divergence"), f"{loss['value']:.2g}", between
        yield said("the same next word"), f"{same['value']:.1%}", said("of {count} places", count=f"{text['tokens']:,}")
        was = said("{value} before", value=f"{against['parent_perplexity']:.4g}")
        yield said("perplexity"), f"{text['perplexity']['value']:.4g}", was
    for task in quality.get("tasks", ()):
        was, now = task["parent_accuracy"], task["accuracy"]["value"]
        before = said("{value} before", value=f"{was:.1%}") if was is not None else said("of the questions")
        yield said("right answers"), f"{now:.1%}", before


def peers(result: Result) -> list[Point]:
    """The result and usual quantizations: those that were measured here. Where none was, published ones: beside each
    other both would mislead, since another model loses more or less."""
    before, loss = result.order.plan.before, kl(result.quality)
    if loss is None:
        return []
    found = [Point(result.order.name, size(result), loss, "result")]
    measured = [point for each in result.taken for point in each.found.get("points", ())]
    found += [Point(each["label"], each["bytes"], each["kl"], "measured") for each in measured]
    for label in () if measured else USUAL:
        published = known(label)
        if published is not None:
            made = mixes.quantized(before.model, label)
            found.append(Point(label, made.bytes + (before.header or 0), published.kl, "published"))
    return found


def cells(result: Result, at: int, taken: Taken) -> dict[str, Any]:
    """One row of the table."""
    planned = result.order.plan.steps[at].after
    return {
        "name": said(taken.kind.about),
        "options": ", ".join(f"{name} {listed(value)}" for name, value in chosen(taken.step).items()),
        "size": human(sum(path.stat().st_size for path in probe.read(taken.model).files)),
        "expected": str(timedelta(seconds=round(planned.seconds.likely))),
        "took": str(timedelta(seconds=round(taken.seconds))),
        "found": () if taken.kind.looks else tuple(findings(taken.found)),
    }


def listed(value: object) -> str:
    """An option as people read it."""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def facts(result: Result) -> Iterator[tuple[Said, str]]:
    """Where the result comes from."""
    manifest = result.manifest
    if result.order.licence:
        yield said("licence"), result.order.licence
    yield said("parent"), f"sha256 {manifest.parent}"
    for each in result.taken:
        entry = lineage.versions(each.kind.libraries)
        yield said(each.kind.about), ", ".join(f"{name} {version}" for name, version in entry.items())
        for name, digest in each.data.items():
            yield said("data"), f"{name}: sha256 {digest}"
