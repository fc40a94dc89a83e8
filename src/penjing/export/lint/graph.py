"""What is in an ONNX file that targets may not take. Weights are not read.

Source of the patterns: ONNX's operator specification (https://onnx.ai/onnx/operators); a norm without an operator of
its own is the root of a mean of squares, a GELU without one is `Erf` plus a constant.

Does not know: targets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.errors import InputError, ModelCorrupt
from penjing.export.lint.finding import Sight

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

SHOWN = 3
"""How many places are named."""
STANDARD = ("", "ai.onnx")
LOOPS = ("If", "Loop", "Scan", "SequenceMap")
UNBOUNDED = ("Compress", "NonMaxSuppression", "NonZero", "StringSplit", "Unique")
"""How long their result is depends on the numbers in it."""
FORM = {"ConstantOfShape": 0, "Expand": 1, "Range": 1, "Reshape": 1, "Tile": 1}
"""The input that says how large the result is."""
MEASURES = ("Shape", "Size")


class OnnxMissing(InputError):
    """Facts: none."""

    template = "Reading ONNX files needs the package onnx, which is not installed here."
    hint = "pip install 'penjing[onnx]'"
    code = "extra_missing"


def look(path: Path) -> list[Sight]:
    """Everything in the file at `path` that some target may not take. Raises OnnxMissing, ModelCorrupt, OSError."""
    model = read(path)
    nodes = list(_walk(model))
    return [*_opset(model), *_operators(model, nodes), *_patterns(nodes), *_shapes(model, nodes), *_types(model)]


def read(path: Path) -> ModelProto:
    """The graph, without weights that lie in other files. Raises OnnxMissing, ModelCorrupt, OSError."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise OnnxMissing from error
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise ModelCorrupt(path=str(path), detail=str(error)) from error
    if not model.graph.node:
        raise ModelCorrupt(path=str(path), detail="it holds no graph")
    return model


def _walk(model: ModelProto) -> Iterator[NodeProto]:
    """All nodes, those inside branches, loops and the model's own functions too."""
    waiting = [model.graph.node, *(function.node for function in model.functions)]
    while waiting:
        for node in waiting.pop():
            yield node
            for attribute in node.attribute:
                waiting += [graph.node for graph in (attribute.g, *attribute.graphs) if graph.node]


def _sight(kind: str, subject: str, nodes: Iterable[NodeProto], **facts: object) -> list[Sight]:
    found = list(nodes)
    places = tuple(node.name or node.output[0] for node in found[:SHOWN])
    return [Sight(kind, subject, len(found), places, facts)] if found else []


def _opset(model: ModelProto) -> list[Sight]:
    versions = [each.version for each in model.opset_import if each.domain in STANDARD]
    return [Sight("opset", f"opset {version}", 1, (), {"opset": version}) for version in versions]


def name(node: NodeProto) -> str:
    """`MatMul`, or with the domain of an operator that is not ONNX's own: `com.microsoft.MatMulNBits`."""
    return node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}"


def _operators(model: ModelProto, nodes: list[NodeProto]) -> list[Sight]:
    """How often each operator occurs, its places: kind `operator`; the tables decide."""
    own = {(function.domain, function.name) for function in model.functions}
    known: dict[str, list[NodeProto]] = defaultdict(list)
    for node in nodes:
        if (node.domain, node.op_type) not in own:
            known[name(node)].append(node)
    return [sight for subject in sorted(known) for sight in _sight("operator", subject, known[subject])]


def _patterns(nodes: list[NodeProto]) -> list[Sight]:
    """Control flow, and what was taken apart into single operators."""
    makers = {output: node for node in nodes for output in node.output}
    readers: dict[str, list[NodeProto]] = defaultdict(list)
    for node in nodes:
        for given in node.input:
            readers[given].append(node)
    norms = [node for node in nodes if node.op_type == "Sqrt" and _mean_of_squares(node, makers)]
    gelus = [
        node for node in nodes if node.op_type == "Erf" and any(use.op_type == "Add" for use in readers[node.output[0]])
    ]
    return [
        *_sight("split_norm", "ReduceMean, Sqrt, Div", norms),
        *_sight("split_gelu", "Erf", gelus),
        *_sight("control_flow", ", ".join(LOOPS[:3]), (node for node in nodes if node.op_type in LOOPS)),
    ]


def _mean_of_squares(root: NodeProto, makers: dict[str, NodeProto]) -> bool:
    """Whether `root` is taken of a mean (plus epsilon) of a Pow or Mul."""
    before = makers.get(root.input[0])
    sources = before.input if before is not None and before.op_type == "Add" else root.input
    for source in sources:
        mean = makers.get(source)
        if mean is not None and mean.op_type == "ReduceMean":
            square = makers.get(mean.input[0])
            return square is not None and square.op_type in ("Pow", "Mul")
    return False


def _shapes(model: ModelProto, nodes: list[NodeProto]) -> list[Sight]:
    """Results whose size is only known while the model runs: from the inputs' sizes (`dynamic_reshape`), or from
    numbers (`data_dependent`)."""
    fixed, measured = _traced(model, nodes)
    dynamic: list[NodeProto] = []
    unbounded = [node for node in nodes if node.op_type in UNBOUNDED]
    for node in nodes:
        place = FORM.get(node.op_type)
        form = node.input[place] if place is not None and len(node.input) > place else ""
        if form and form in measured and node.op_type == "Reshape":
            dynamic.append(node)
        elif form and form not in measured and form not in fixed:
            unbounded.append(node)
    return [
        *_sight("dynamic_reshape", "Reshape", dynamic),
        *_sight("data_dependent", ", ".join(sorted({node.op_type for node in unbounded})), unbounded),
    ]


def _traced(model: ModelProto, nodes: list[NodeProto]) -> tuple[set[str], set[str]]:
    """The values that do not change, and those that follow from the sizes of others."""
    fixed = {each.name for each in model.graph.initializer} | {
        each.values.name for each in model.graph.sparse_initializer
    }
    measured: set[str] = set()
    for node in nodes:  # a graph's nodes are in the order of their results
        given = [each for each in node.input if each]
        if node.op_type in MEASURES or (given and all(each in fixed or each in measured for each in given)):
            constant = node.op_type not in MEASURES and all(each in fixed for each in given)
            (fixed if constant else measured).update(node.output)
        elif not given and node.op_type == "Constant":
            fixed.update(node.output)
    return fixed, measured


def _types(model: ModelProto) -> list[Sight]:
    """Numbers of 64 bits that come in or go out."""
    from onnx import TensorProto

    graph = model.graph
    outer: list[Any] = [*graph.input, *graph.output]
    sights = []
    for kind, wanted in (("int64", TensorProto.INT64), ("float64", TensorProto.DOUBLE)):
        found = [each.name for each in outer if each.type.tensor_type.elem_type == wanted]
        found += [each.name for each in graph.initializer if each.data_type == wanted and kind == "float64"]
        if found:
            sights.append(Sight(kind, kind, len(found), tuple(found[:SHOWN])))
    return sights
