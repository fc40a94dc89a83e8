"""ONNX graphs with everything that targets refuse; and the tables against the libraries that they are of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from penjing.export.lint.run import lint
from penjing.export.lint.table import table

pytestmark = pytest.mark.exports


def written(path: Path, nodes: Sequence[Any], given: dict[str, int], opset: int = 18, **numbers: Sequence[int]) -> Path:
    """A graph of `nodes`; `given` are its inputs by their ONNX type."""
    helper = pytest.importorskip("onnx.helper", reason="needs penjing[onnx]")
    import onnx

    constants = [helper.make_tensor(name, 7, [len(values)], values) for name, values in numbers.items()]
    inputs = [helper.make_tensor_value_info(name, kind, ["batch", "sequence"]) for name, kind in given.items()]
    outputs = [helper.make_empty_tensor_value_info(nodes[-1].output[0])]
    graph = helper.make_graph(list(nodes), "graph", inputs, outputs, constants)
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=domains, ir_version=9), path)
    return path


def node(kind: str, inputs: str, output: str, **more: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, inputs.split(), [output], name=f"the {output}", **more)


def kinds(path: Path, target: str) -> dict[str, str]:
    return {finding.sight.kind: finding.level for finding in lint(path, [target]) if finding.sight.kind != "container"}


def test_norms_and_gelus_that_were_taken_apart(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs penjing[onnx]")
    nodes = [
        node("Mul", "x x", "square"),
        node("ReduceMean", "square", "mean"),
        node("Add", "mean epsilon", "more"),
        node("Sqrt", "more", "root"),
        node("Div", "x root", "normed"),
        node("Div", "normed root2", "scaled"),
        node("Erf", "scaled", "erf"),
        node("Add", "erf one", "plus"),
        node("Mul", "plus normed", "y"),
    ]
    path = written(tmp_path / "a.onnx", nodes, {"x": 1}, epsilon=[1], root2=[1], one=[1])
    assert kinds(path, "onnx") == {"split_norm": "note", "split_gelu": "note"}
    assert kinds(path, "litert") == {"split_norm": "note", "split_gelu": "rewritten"}
    alone = written(tmp_path / "b.onnx", [node("Erf", "x", "y")], {"x": 1})
    assert kinds(alone, "litert") == {"missing": "blocks"}
    assert kinds(alone, "coreml") == {}


def test_shapes_that_are_known_late_or_never(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs penjing[onnx]")
    nodes = [
        node("Reshape", "x fixed", "a"),
        node("Shape", "a", "size"),
        node("Mul", "size two", "twice"),
        node("Reshape", "a twice", "b"),
        node("Reshape", "b asked", "c"),
        node("NonZero", "c", "y"),
    ]
    path = written(tmp_path / "a.onnx", nodes, {"x": 1, "asked": 7}, fixed=[1, -1], two=[2])
    (late,) = (finding.sight for finding in lint(path, ["onnx"]) if finding.sight.kind == "dynamic_reshape")
    assert late.places == ("the b",)
    (never,) = (finding.sight for finding in lint(path, ["executorch"]) if finding.sight.kind == "data_dependent")
    assert never.places == ("the y", "the c")
    assert kinds(path, "executorch")["data_dependent"] == "blocks"
    assert kinds(path, "onnx") == {"dynamic_reshape": "note", "data_dependent": "note"}


def test_loops_opsets_domains_and_numbers(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs penjing[onnx]")
    from onnx import helper

    inner = helper.make_graph([node("Einsum", "x x", "z", equation="ij,ij->i")], "then", [], [])
    nodes = [
        node("If", "so", "a", then_branch=inner, else_branch=inner),
        node("Fancy", "a", "b", domain="com.example"),
        node("Relu", "b", "y"),
    ]
    path = written(tmp_path / "a.onnx", nodes, {"so": 9, "x": 11}, opset=5)
    found = {finding.sight.kind: finding for finding in lint(path, ["onnx"])}
    assert set(found) == {"opset", "missing", "control_flow", "float64"}
    assert "7" in found["opset"].words("en")
    assert found["missing"].sight.subject == "com.example.Fancy"
    assert found["float64"].sight.places == ("x",)
    missing = [finding.sight for finding in lint(path, ["executorch"]) if finding.sight.kind == "missing"]
    assert {(sight.subject, sight.count) for sight in missing} == {("Einsum", 2), ("If", 1), ("com.example.Fancy", 1)}


def stands(target: str) -> set[str]:
    """Every operator that the table of `target` names."""
    cells = [cell.split() for cell in table(target).operators.values() if not cell.startswith("(")]
    return {name for cell in cells for name in cell}


def test_the_table_of_litert_names_its_operators() -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs penjing[litert]")
    assert stands("litert") <= set(vars(schema.BuiltinOperator))


def test_the_table_of_executorch_names_its_kernels() -> None:
    executorch = pytest.importorskip("executorch", reason="needs penjing[executorch]")
    import yaml

    kernels = yaml.safe_load((Path(next(iter(executorch.__path__))) / "kernels/portable/functions.yaml").read_text())
    known = {str(each.get("op") or each["func"].split("(")[0].split("::")[-1]) for each in kernels}
    assert {name for name in stands("executorch") if "::" not in name} <= known


def test_the_table_of_onnx_names_its_kernels() -> None:
    state = pytest.importorskip("onnxruntime.capi._pybind_state", reason="needs penjing[onnx]")
    from onnx import defs

    kernels = {
        (each.domain, each.op_name) for each in state.get_all_opkernel_def() if each.provider == "CPUExecutionProvider"
    }
    functions = {
        each.name for each in defs.get_all_schemas() if each.has_function or each.has_context_dependent_function
    }
    for name in table("onnx").operators:
        domain, _, short = name.rpartition(".")
        assert (domain, short) in kernels or (not domain and (short in functions or short == "Constant")), name
