"""The verb `prune`: a checkpoint with fewer parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penjing.cli.training import require, warn_of_licence
from penjing.cli.verb import argument, option, verb

if TYPE_CHECKING:
    from pathlib import Path

    from penjing.shrink.packing import Example
    from penjing.shrink.prune.prune import Pruned, PruneOptions

SECTION = "prune"
EXAMPLES = (
    ("penjing prune ./model --ratio 0.3 -o ./smaller", "Remove 30 % of its parameters."),
    ("penjing prune ./model --texts talks.jsonl -o ./smaller", "Keep what your own conversations need."),
    ("penjing prune ./model --parts layers -o ./smaller", "Remove whole layers only."),
    ("penjing prune ./model --pattern 2:4 -o ./sparse", "Two zeros in every four weights, shapes unchanged."),
    ("penjing distill ./smaller --teacher ./model --data talks.jsonl -o ./better", "Then let it learn again."),
)


@verb("prune", help="Make a model smaller by removing channels, heads and layers.", examples=EXAMPLES)
@argument("model", metavar="MODEL")
@option("--output", "-o", metavar="DIR", help="Write the smaller checkpoint into this new folder.")
@option("--ratio", metavar="SHARE", help="Of all parameters, to remove; 0.3 where not given.")
@option("--parts", metavar="NAME,...", help="What may go: inner, heads, layers, hidden; all but hidden if not given.")
@option("--criterion", metavar="NAME", help="How parts are judged: curvature, taylor or activation.")
@option("--texts", metavar="TEXT", multiple=True, help="Files, folders or built-in texts to measure importance on.")
@option("--windows", metavar="COUNT", help="Windows of text to measure on; 128 where not given.")
@option("--context", metavar="TOKENS", help="Tokens of a window; 512 where not given.")
@option("--tries", metavar="COUNT", help="Shapes that are really cut and compared; 4 where not given.")
@option("--multiple", metavar="COUNT", help="Widths stay multiples of it; 256 for wide ones, else 32, if not given.")
@option("--repair/--no-repair", default=None, help="Fit what stays to what the whole wrote; on where not given.")
@option("--pattern", metavar="N:M", help="Instead: zeros within the matrices, N of every M weights stay (2:4).")
@option("--seed", metavar="NUMBER", help="The same seed, the same result.")
@option("--allow-untrusted", is_flag=True, default=None, help="Load it even if it is not signed, or was altered.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def prune(model: str, **given: Any) -> None:
    """The door."""
    from penjing.cli import local
    from penjing.cli.checkpoint import checkpoint
    from penjing.cli.model import require_known_sections
    from penjing.files import expanded
    from penjing.settings import load
    from penjing.shrink import extra
    from penjing.shrink.alone import alone
    from penjing.shrink.output import require_free
    from penjing.shrink.prune.prune import PruneOptions
    from penjing.shrink.prune.sparse import parsed

    require_known_sections()
    require(given, "penjing prune", "output")
    asked = {name: value for name, value in given.items() if name in PruneOptions.__dataclass_fields__}
    options = load(PruneOptions, SECTION, asked).value
    extra.require()
    name, folder = checkpoint(model, local.care(given))
    warn_of_licence(name, folder)
    output = expanded(given["output"])
    if given["pattern"]:
        parsed(given["pattern"])  # told before texts are read, as what is there already
    require_free(output)
    with alone(output):
        _run(folder, output, options, given)


def _run(folder: Path, output: Path, options: PruneOptions, given: dict[str, Any]) -> None:
    from penjing.cli import talk
    from penjing.cli.progress import shown
    from penjing.shrink import lineage
    from penjing.shrink.prune.prune import prune as run
    from penjing.shrink.prune.sparse import sparsify

    calibration, data = _calibration(folder, options, given)
    if given["pattern"]:
        with shown() as report:
            made = sparsify(folder, output, given["pattern"], calibration, data=data, report=report)
        if given["as_json"]:
            talk.data_json({"output": str(output), **lineage.last(made)})
        else:
            talk.data(str(output))
        return
    with shown() as report:
        done = run(folder, output, options, calibration, data=data, report=report)
    if given["as_json"]:
        talk.data_json({"output": str(output), **lineage.last(done.manifest)})
    else:
        tell(done, given["output"])


def _calibration(folder: Path, options: PruneOptions, given: dict[str, Any]) -> tuple[list[Example], dict[str, str]]:
    """Windows to measure on, and the digests of their texts."""
    from penjing.shrink import torch_model
    from penjing.shrink.examples import examples
    from penjing.shrink.texts.known import CALIBRATION, texts

    chosen = [text for name in given["texts"] or (CALIBRATION,) for text in texts(name)]
    found = examples(chosen, torch_model.tokenizer(folder), context=options.context, most=options.windows)
    return found, {text.name: text.digest for text in chosen}


def tell(done: Pruned, output: str) -> None:
    """What happened, and what to do next."""
    from penjing.cli import talk

    shape = done.tried[0].shape
    talk.data(f"{output}: {done.before / 1e6:.1f} M -> {done.after / 1e6:.1f} M (-{1 - done.after / done.before:.1%})")
    talk.note(
        "{layers} layers of width {hidden}, {inner} channels, {groups} key-value heads; KL {loss:.4f} on calibration.",
        layers=len(shape.layers),
        hidden=shape.hidden,
        inner=shape.inner,
        groups=shape.groups,
        loss=done.tried[0].divergence or 0.0,
    )
    for note in done.notes:
        talk.note("{note}.", note=note.words())
    talk.note("Let it learn again: penjing distill {output} --teacher MODEL --data FILE -o DIR", output=output)
