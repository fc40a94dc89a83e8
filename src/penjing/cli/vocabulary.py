"""The verb `vocabulary`: a model learns the words of a language, as tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.training import going_on, require, warn_of_licence
from penjing.cli.verb import argument, option, verb
from penjing.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from penjing.progress import Report
    from penjing.shrink.texts.text import Text
    from penjing.shrink.training import Outcome
    from penjing.shrink.vocabulary.grow import Grown
    from penjing.shrink.vocabulary.loss import Loss

SHOWN = 24
"""Pieces that people see."""


@verb(
    "vocabulary",
    help="Add a language to a model's tokenizer: frequent words of a text become tokens, so that it takes fewer of "
    "them. Old ids and text in the old languages stay as they are.",
    examples=(
        ("penjing vocabulary ./model --add zh.txt -o model-zh", "4000 tokens for Chinese."),
        ("penjing vocabulary ./model --add zh/ --size 8000 -o model-zh", "8000, from a folder of texts."),
        ("penjing vocabulary ./model --add zh/ --train 300 -o model-zh", "Their rows are trained, nothing else."),
        (
            "penjing vocabulary ./model --add ru.txt --keep bg.txt -o m",
            "What is in bg.txt is encoded as before, too.",
        ),
    ),
)
@argument("model", metavar="MODEL")
@option("--add", multiple=True, metavar="TEXT", help="A .txt, .md or .jsonl in the new language, or a folder of them.")
@option("--keep", multiple=True, metavar="TEXT", help="Text whose characters are in no new token; may be given again.")
@option("--size", metavar="COUNT", help="At most so many tokens more (4000).")
@option("--train", metavar="STEPS", help="Then train the rows of the new tokens so many steps, and nothing else.")
@option(
    "--rate",
    metavar="NUMBER",
    help="Peak learning rate of that training; a tenth of what numbers in old rows usually are.",
)
@option("--resume", is_flag=True, help="Go on with a training that was stopped.")
@option("--output", "-o", metavar="DIR", help="The folder that is written.")
@option("--allow-untrusted", is_flag=True, default=None, help="Load it even if it is not signed, or was altered.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def vocabulary(model: str, as_json: bool, **given: Any) -> None:
    """The door."""
    from penjing.cli import local
    from penjing.cli.checkpoint import checkpoint
    from penjing.files import expanded
    from penjing.shrink import extra

    require(given, "penjing vocabulary", "add", "output")
    extra.require("tokenizers", *(extra.TORCH if given["train"] else ()))
    name, folder = checkpoint(model, local.care(given))
    warn_of_licence(name, folder)
    texts, old = _texts(given["add"]), _texts(given["keep"])
    grown, outcome, losses = _run(folder, texts, old, expanded(given["output"]), given)
    if as_json:
        talk.data_json(_document(grown, outcome, losses))
    else:
        _tell(grown, outcome, losses)
        talk.data(str(grown.output))


def _run(
    folder: Path, texts: Sequence[Text], old: Sequence[Text], output: Path, given: dict[str, Any]
) -> tuple[Grown, Outcome | None, dict[str, Loss]]:
    from penjing.shrink.alone import alone
    from penjing.shrink.vocabulary.grow import SIZE, grow

    size = _count("size", given["size"], SIZE)
    steps = _count("train", given["train"], 0)
    with alone(output), going_on(output) as report:
        if steps:
            grown, outcome = _trained(folder, texts, old, output, size, steps, given, report)
        else:
            grown, outcome = grow(folder, texts, output, size, old=old, report=report), None
        return grown, outcome, _losses(folder, grown, texts, old, report)


def _trained(
    folder: Path,
    texts: Sequence[Text],
    old: Sequence[Text],
    output: Path,
    size: int,
    steps: int,
    given: dict[str, Any],
    report: Report,
) -> tuple[Grown, Outcome]:
    from penjing.shrink.vocabulary import embeddings

    more = {"rate": _rate(given["rate"]), "old": old, "resume": given["resume"], "report": report}
    return embeddings.grow_and_train(folder, texts, output, size, steps, **more)


def _count(name: str, value: str | None, default: int) -> int:
    if value is None:
        return default
    if not value.isdecimal():
        raise SettingError(name=name, value=value, wanted="a whole number", source=f"--{name}")
    return int(value)


def _rate(value: str | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError as error:
        raise SettingError(name="rate", value=value, wanted="a number", source="--rate") from error


def _texts(names: Sequence[str]) -> list[Text]:
    from penjing.shrink.texts.known import texts

    return [text for name in names for text in texts(name)]


def _losses(folder: Path, grown: Grown, texts: Sequence[Text], old: Sequence[Text], report: Report) -> dict[str, Loss]:
    """On the engine, where it can load the model: what new and old text costs before and after."""
    import tempfile
    from pathlib import Path

    from penjing.errors import ModelUnsupported
    from penjing.export.gguf.convert import convert
    from penjing.shrink.texts.known import HELD_OUT, builtin
    from penjing.shrink.vocabulary.grow import divided
    from penjing.shrink.vocabulary.loss import compare

    english = builtin(HELD_OUT)[0]
    _, held = divided([document.plain for text in texts for document in text.documents])
    judged = {"new": held, "old": [document.plain for text in (old or [english]) for document in text.documents]}
    with tempfile.TemporaryDirectory(dir=grown.output.parent) as place:
        before, after = Path(place) / "before.gguf", Path(place) / "after.gguf"
        try:
            convert(folder, before, report=report)
            convert(grown.output, after, report=report)
        except ModelUnsupported as error:
            talk.note("The loss was not measured: {detail}", detail=error.message())
            return {}
        return compare(before, after, judged, report=report)


def _tell(grown: Grown, outcome: Outcome | None, losses: dict[str, Loss]) -> None:
    talk.note(
        "{count} tokens added for {scripts}, ids {first} to {last}.",
        count=grown.added,
        scripts=", ".join(grown.scripts),
        first=grown.first,
        last=grown.first + grown.added - 1,
    )
    talk.note("Among them: {pieces}", pieces=" ".join(grown.pieces[:SHOWN]))
    rate = grown.heldout
    if rate.characters:
        talk.note(
            "Tokens a character of text held out: {before:.3f} before, {after:.3f} now ({ratio:.2f} times).",
            before=rate.before / rate.characters,
            after=rate.after / rate.characters,
            ratio=rate.ratio,
        )
    talk.note("Old text is encoded as before: {count} tokens compared.", count=grown.old.before)
    if outcome is not None:
        state = outcome.state
        talk.note(
            "Their rows were trained in {steps} steps, loss {loss:.3f} a token.",
            steps=state.step,
            loss=state.losses[-1],
        )
    if "old" in losses:
        talk.note(
            "Loss on old text, nats a character: {loss.before:.4f} before, {loss.after:.4f} now.", loss=losses["old"]
        )
    if "new" in losses:
        talk.note(
            "Loss on new text, nats a character: {loss.before:.4f} before, {loss.after:.4f} now. Training lowers it.",
            loss=losses["new"],
        )


def _document(grown: Grown, outcome: Outcome | None, losses: dict[str, Loss]) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "path": str(grown.output),
        "scripts": list(grown.scripts),
        "first": grown.first,
        "added": grown.added,
        "rows": grown.rows,
        "pieces": list(grown.pieces),
        "trained_steps": outcome.state.step if outcome else 0,
        "tokens": {"new": asdict(grown.heldout), "old": asdict(grown.old)},
        "nats_per_character": {name: asdict(loss) for name, loss in losses.items()},
    }
