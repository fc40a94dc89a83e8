"""An export from beginning to end: a whole folder, what it was made of, whether it says what its parent says.

Does not know: any target, how anything is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import penjing
from penjing import manifest
from penjing.errors import InputError, ModelError
from penjing.export import check as checking
from penjing.export.check import Check
from penjing.export.original import original
from penjing.export.prompts import LENGTH, Encode, encoder, prompts
from penjing.export.target import Options, Runtime, Target, require
from penjing.manifest import Manifest
from penjing.probe import model as probe
from penjing.progress import Report
from penjing.shrink.lineage import licence, parent_digest, parent_manifest, versions
from penjing.shrink.output import whole_folder

LEAST = LENGTH // 2 + checking.DECODED
"""Tokens of context without which nothing can be checked."""


class NotVerified(ModelError):
    """Facts: `path`, `target`, `precision`, `failed` (what is beyond its limit)."""

    template = "{path} is not verified: {failed} is beyond what {precision} may lose (check.json has the numbers)."
    hint = "The files are all there. A higher --precision loses less; of a fault in penjing please tell its makers."
    code = "not_verified"
    exit_code = 7


class ContextTooShort(InputError):
    """Facts: `context`, `least`."""

    template = "A context of {context} tokens is too short to be checked."
    hint = "Take at least --context {least}, or --no-check."
    code = "context_too_short"


@dataclass(frozen=True)
class Made:
    """What was written of `model` (a name). `original` are the parent's bytes in float32."""

    model: str
    target: str
    precision: str
    output: Path
    files: tuple[Path, ...]
    bytes: int
    original: int


def make(target: Target, model: Path, output: Path, options: Options, report: Report | None = None) -> Made:
    """Write the export of `model` (a checkpoint folder or a GGUF file, as the target takes it) to the new folder
    `output`, with a manifest. Raises TargetExtraMissing, OutputTaken, DiskFull, ModelError, and what `report` raises;
    a folder that could not be finished is gone."""
    require(target)
    with whole_folder(output) as folder:
        target.write(model, folder, options, report)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        size = sum(path.stat().st_size for path in files)
        _describe(target, model, folder, files, options)
    names = tuple(output / path.relative_to(folder) for path in files)
    original = probe.read(model).parameters * 4
    return Made(options.name, target.name, options.precision, output, names, size, original)


def _describe(target: Target, model: Path, folder: Path, files: list[Path], options: Options) -> None:
    """`manifest.json`: what the export was made of and how."""
    step = {
        "step": "export",
        "options": {"target": target.name, "precision": options.precision, "context": options.context},
        "libraries": versions(target.packages),
    }
    before = parent_manifest(model)
    earlier = before.recipe.get("steps") if before else None
    made = Manifest(
        name=options.name,
        version="1",
        licence=licence(model),
        facts={"target": target.name, "precision": options.precision, "penjing": penjing.__version__},
        files=tuple(manifest.describe(path, folder) for path in files),
        parent=parent_digest(model),
        recipe={"steps": [*(earlier if isinstance(earlier, list) else []), step]},
    )
    manifest.save(made, folder)


def _parent(target: Target, model: Path, context: int, options: Options) -> tuple[Runtime, Encode]:
    """What an export is compared with, and how texts become tokens. Raises ShrinkExtraMissing, ModelError."""
    if target.takes == "gguf":
        from penjing.export.gguf.runtime import LlamaRuntime

        native = LlamaRuntime(model, context)
        return native, native.model.tokenize
    return original(model, options.context), encoder(model)


def verify(target: Target, model: Path, output: Path, options: Options, report: Report | None = None) -> Check:
    """Compare what lies in `output` with its parent `model` and write `check.json`. Raises ContextTooShort,
    ShrinkExtraMissing where the parent needs torch, ModelError, and what `report` raises."""
    longest = probe.read(model).context
    context = options.tokens(longest)
    if context < LEAST:
        raise ContextTooShort(context=context, least=LEAST)
    length = min(LENGTH, context - checking.DECODED)
    parent, encode = _parent(target, model, context, options)
    try:
        child = target.reload(output)
        try:
            whole, languages = checking.compare(parent, child, prompts(encode, length), report=report)
        finally:
            child.close()
    finally:
        parent.close()
    bits = target.precisions[options.precision]
    made = checking.judge(target.name, options.precision, bits, whole, languages)
    checking.save(made, output)
    return made
