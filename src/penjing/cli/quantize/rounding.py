"""`penjing quantize --rounding autoround`: how numbers are rounded is learned, layer by layer.

    OUTPUT.rounding/start.gguf    the quantized file that it begins with
    OUTPUT.rounding/wish.json     what was asked of that file
    OUTPUT.rounding/layer-*.pt    layers that have learned

Does not know: how a file is quantized (the verb gives that), how rounding is learned (`shrink.qat.rounding`).
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from penjing.cli import talk
from penjing.errors import SettingError
from penjing.settings import wanted

if TYPE_CHECKING:
    from penjing.cli.local import Care
    from penjing.cli.quantize.train import Make
    from penjing.shrink.qat.rounding import Rounded, Rounding
    from penjing.shrink.quantize.budget import Budgeted
    from penjing.shrink.quantize.mix import Quantized
    from penjing.shrink.texts.windows import Windows

FEEDBACK, AUTOROUND = ROUNDINGS = ("feedback", "autoround")
MOST = 100_000
Count = Annotated[int, msgspec.Meta(ge=1, le=MOST)]


def options(given: dict[str, Any]) -> Rounding | None:
    """What was asked for; None where nothing is learned. Raises SettingError, ShrinkExtraMissing."""
    from penjing.shrink import extra

    name, steps = given["rounding"] or FEEDBACK, given["iterations"]
    if name not in ROUNDINGS:
        raise SettingError(name="rounding", value=name, wanted=", ".join(ROUNDINGS), source="--rounding")
    if name == FEEDBACK:
        if steps:
            facts = {"name": "iterations", "value": steps, "wanted": "beside --rounding autoround"}
            raise SettingError(**facts, source="--iterations")
        return None
    if given["train"]:
        facts = {"name": "train", "value": given["train"], "wanted": "left out beside --rounding autoround"}
        raise SettingError(**facts, source="--train")
    extra.require()
    from penjing.shrink.qat.rounding import Rounding

    if steps is None:
        return Rounding()
    try:
        return Rounding(iterations=msgspec.convert(steps, Count, strict=False))
    except msgspec.ValidationError as error:
        facts = {"name": "iterations", "value": steps, "wanted": wanted(Count)}
        raise SettingError(**facts, source="--iterations") from error


def learn(
    model: str, output: Path, how: Rounding, windows: Windows | None, given: dict[str, Any], care: Care, make: Make
) -> tuple[Quantized, Budgeted | None, Rounded]:
    """Quantize (unless an earlier try did), then learn on `windows`; the same command goes on. Raises NotACheckpoint,
    TextNeeded, and what both raise."""
    from penjing.cli.checkpoint import checkpoint
    from penjing.cli.progress import shown
    from penjing.cli.quantize.train import ASKED, START, WISH, known
    from penjing.cli.quantize.wish import TextNeeded
    from penjing.export.gguf.convert import layout
    from penjing.files import write_whole
    from penjing.shrink.qat.rounding import folder_of, learned

    if windows is None:
        raise TextNeeded
    _, original = checkpoint(model, care)
    folder = folder_of(output)
    start, page, fitted = folder / START, folder / WISH, None
    now = msgspec.json.encode({"model": str(original), **{name: given[name] for name in ASKED}})
    if page.is_file() and page.read_bytes() == now:
        done = known(start)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        done, fitted = make(start)
        write_whole(page, now)
    with shown() as report:
        found = learned(original, start, windows.tokens, output, how, layout=layout, report=report)
    return replace(done, path=output), fitted, found


def tell(found: Rounded) -> None:
    """What it brought."""
    before, after = (100 * sum(each) / len(each) for each in (found.before, found.after))
    talk.note(
        "Rounding learned in {layers} layers; the error of their outputs {before:.3f} % -> {after:.3f} %.",
        layers=len(found.before),
        before=before,
        after=after,
    )
