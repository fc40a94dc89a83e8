"""`penjing export MODEL --lint`: what stands between a model and a target, before anything is written.

Does not know: what a target takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.errors import ModelNotFound, SettingError
from penjing.language import say

if TYPE_CHECKING:
    from penjing.export.lint.finding import Finding

COLOURS = {"blocks": talk.RED, "note": talk.YELLOW, "rewritten": talk.GREEN}
MARGIN = "  "


def lint(model: str, target: str | None, as_json: bool) -> None:
    """Print what `target` (all of them where it is None) does not take of `model`. Raises LintBlocks where something
    stands in the way, SettingError, ModelError."""
    from penjing.export.lint.run import LintBlocks
    from penjing.export.lint.run import lint as looked
    from penjing.export.lint.table import names

    known = names()
    if target is not None and target not in known:
        raise SettingError(name="target", value=target, wanted=", ".join(known), source="--target")
    targets = known if target is None else [target]
    findings = looked(place(model), targets)
    if as_json:
        talk.data_json({"model": model, "targets": {name: _rows(findings, name) for name in targets}})
    else:
        _show(findings, targets)
    blocked = [finding for finding in findings if finding.level == "blocks"]
    if target is not None and blocked:
        raise LintBlocks(model=model, target=target, count=len(blocked))


def place(model: str) -> Path:
    """The checkpoint's folder, or the GGUF or ONNX file, that a person means. Raises ModelNotFound, ModelError."""
    from penjing.export.lint.run import ONNX
    from penjing.files import expanded
    from penjing.store.resolve import GUIDE, find, guide

    path = expanded(model)
    if path.suffix == ONNX:
        if not path.is_file():
            raise ModelNotFound(model=model)
        return path
    return guide().parent if model == GUIDE else Path(find(model).source)


def _rows(findings: Sequence[Finding], target: str) -> list[dict[str, object]]:
    return [
        {
            "level": each.level,
            "kind": each.sight.kind,
            "subject": each.sight.subject,
            "count": each.sight.count,
            "places": list(each.sight.places),
            "message": each.words(),
        }
        for each in findings
        if each.target == target
    ]


def _show(findings: Sequence[Finding], targets: Sequence[str]) -> None:
    """Each target, below it what was found and what it means, in the width of the terminal."""
    import shutil
    import sys

    from penjing.cli.layout import WIDEST, wrap

    width = min(shutil.get_terminal_size((80, 24)).columns, WIDEST) - len(MARGIN) * 2
    levels = {"blocks": say("blocks"), "note": say("note"), "rewritten": say("written differently")}
    for target in targets:
        mine = [finding for finding in findings if finding.target == target]
        talk.data(target if mine else say("{target} takes all of it.", target=target))
        for each in mine:
            times = f" × {each.sight.count}" if each.sight.count > 1 else ""
            where = f" ({', '.join(each.sight.places)})" if each.sight.places else ""
            level = talk.painted(levels[each.level], COLOURS[each.level], sys.stdout)
            talk.data(f"{MARGIN}{level}: {talk.printable(each.sight.subject + times + where)}")
            for line in wrap(talk.printable(each.words()), width):
                talk.data(f"{MARGIN * 2}{line}")
