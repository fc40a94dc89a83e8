"""Look at a model and say what each target makes of it.

Does not know: how a person reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from penjing.errors import ModelUnsupported
from penjing.export.lint import checkpoint, graph
from penjing.export.lint.finding import Finding, Sight, judged
from penjing.export.lint.table import Table, table

ONNX = ".onnx"
GRAPHLESS = ("gguf", "web")
"""Targets that llama.cpp runs: it knows architectures, and more of them than our decoder computes."""
WHOLE = ("container", "converter", "picture", "quantized")
"""What concerns those too."""


class LintBlocks(ModelUnsupported):
    """Something stands in the way. Facts: `model`, `target`, `count`."""

    template = "{model} cannot become {target} as it is: {count} of the lines above block."
    hint = "What blocks is said beside each; penjing export MODEL --lint shows what the other targets take."
    code = "lint_blocks"


def lint(path: Path, targets: Sequence[str]) -> list[Finding]:
    """What each of `targets` does not take of the model at `path` (a checkpoint's folder, a GGUF or an ONNX file), the
    worst first for each. Raises ModelError, OnnxMissing, OSError."""
    if path.is_dir():
        seen = checkpoint.look(path)
    elif path.suffix == ONNX:
        seen = [Sight("container", "ONNX"), *graph.look(path)]
    else:
        seen = [Sight("quantized", "GGUF")]
    return [finding for name in targets for finding in judged(_for(table(name), seen), table(name))]


def _for(target: Table, seen: Sequence[Sight]) -> list[Sight]:
    """What of `seen` concerns `target`: operators that it lacks, an opset that it does not load."""
    if target.target in GRAPHLESS:
        return [sight for sight in seen if sight.kind in WHOLE]
    left: list[Sight] = []
    for sight in seen:
        if sight.kind == "operator":
            if sight.subject not in target.operators and not _folded(sight, seen, target):
                left.append(Sight("missing", sight.subject, sight.count, sight.places))
        elif sight.kind == "opset":
            left += _opset(sight, target)
        else:
            left.append(sight)
    return left


def _folded(sight: Sight, seen: Sequence[Sight], target: Table) -> bool:
    """Whether every occurrence of an operator is part of a GELU, which the target has as a whole."""
    gelus = sum(each.count for each in seen if each.kind == "split_gelu")
    return sight.subject == "Erf" and "Gelu" in target.operators and gelus == sight.count


def _opset(sight: Sight, target: Table) -> list[Sight]:
    version = sight.facts["opset"]
    if target.opsets is None or not isinstance(version, int) or target.opsets[0] <= version <= target.opsets[1]:
        return []
    least, most = target.opsets
    return [Sight("opset", sight.subject, 1, (), {**sight.facts, "least": least, "most": most})]
