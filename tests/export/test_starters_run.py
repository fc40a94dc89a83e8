"""Starters do what they say: run where their runtime is here, compiled where only its signatures are.

The ONNX model is a small graph that says a sentence by the position it is asked for, and nonsense as soon as position,
mask or state do not fit each other."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.compilers import kotlin, llama_headers, packages, program, run
from penjing.export import manner, starters
from penjing.export.starters import Facts, State, Tensor
from penjing.store.resolve import guide

pytestmark = pytest.mark.exports

QUESTION = "What is 缓存?"
SENTENCE = "It keeps keys — 键和值 — of all tokens."
VOCABULARY = 4096
CONTEXT = 64
LAYERS = 2


def facts(dtype: str) -> Facts:
    """Of the graph that `sentence` writes."""
    shape = ("batch", 1, "past", 1)
    return Facts(
        target="onnx",
        model='a "model"',
        precision="fp32",
        files={"model": "model.onnx", "tokenizer": "tokenizer.json"},
        inputs={
            "ids": Tensor("input_ids", ("batch", "sequence"), "int64"),
            "positions": Tensor("position_ids", ("batch", "sequence"), "int64"),
            "mask": Tensor("attention_mask", ("batch", "total"), "int64"),
        },
        outputs={"logits": Tensor("logits", ("batch", "sequence", VOCABULARY), dtype)},
        state=tuple(
            State(Tensor(f"past.{layer}.{part}", shape, dtype), Tensor(f"present.{layer}.{part}", shape, dtype))
            for layer in range(LAYERS)
            for part in ("key", "value")
        ),
        vocabulary=VOCABULARY,
        context=CONTEXT,
        manner=manner.read(guide().parent),
    )


def sentence(folder: Path, dtype: str) -> Facts:
    """Write a folder with a model that says SENTENCE when asked QUESTION. Each position has its token; the state counts
    positions, and where the mask's length or the position differ from it, token 5 is said instead."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(guide().parent / "tokenizer.json"))
    about = facts(dtype)
    asked = tokenizer.encode(about.manner.before + QUESTION + about.manner.after, add_special_tokens=False).ids
    said = [*tokenizer.encode(SENTENCE, add_special_tokens=False).ids, about.manner.end_tokens[0]]
    table = np.full(CONTEXT, 7, np.int64)
    table[len(asked) - 1 : len(asked) - 1 + len(said)] = said
    kind = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}[dtype]

    def number(name: str, value: Any, kind: Any = np.int64) -> Any:
        return numpy_helper.from_array(np.array(value, kind), name)

    def node(kind: str, inputs: str, output: str, **more: Any) -> Any:
        return helper.make_node(kind, inputs.split(), [output], **more)

    nodes = [
        node("Cast", "position_ids", "flat_positions", to=kind),
        node("Reshape", "flat_positions state_form", "positions_as_state"),
        *(
            node("Concat", f"past.{layer}.{part} positions_as_state", f"present.{layer}.{part}", axis=2)
            for layer in range(LAYERS)
            for part in ("key", "value")
        ),
        node("Shape", "present.1.value", "counted", start=2, end=3),
        node("Shape", "attention_mask", "masked", start=1, end=2),
        node("Add", "position_ids one", "next_position"),
        node("ReduceMax", "next_position", "told", keepdims=0),
        node("Equal", "counted masked", "mask_fits"),
        node("Equal", "counted told", "position_fits"),
        node("And", "mask_fits position_fits", "fits"),
        node("Gather", "table position_ids", "meant"),
        node("Where", "fits meant wrong", "token"),
        node("OneHot", "token depth values", "logits", axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "sentence",
        [helper.make_tensor_value_info(each.name, TensorProto.INT64, each.shape) for each in about.inputs.values()]
        + [helper.make_tensor_value_info(each.given.name, kind, each.given.shape) for each in about.state],
        [helper.make_tensor_value_info("logits", kind, about.outputs["logits"].shape)]
        + [helper.make_tensor_value_info(each.kept.name, kind, ("batch", 1, "total", 1)) for each in about.state],
        [
            number("state_form", [1, 1, -1, 1]),
            number("one", 1),
            number("table", table),
            number("wrong", 5),
            number("depth", VOCABULARY),
            number("values", [-1, 1], dtype),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    (folder / "tokenizer.json").write_bytes((guide().parent / "tokenizer.json").read_bytes())
    starters.write(about, folder)
    return about


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_onnx_in_python(dtype: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs penjing[onnx]")
    pytest.importorskip("onnxruntime", reason="needs penjing[onnx]")
    sentence(tmp_path / "out", dtype)
    said = run([sys.executable, str(tmp_path / "out" / "starter" / "python" / "answer.py"), QUESTION])
    assert said == SENTENCE + "\n"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_onnx_in_javascript(dtype: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs penjing[onnx]")
    node = program("node")
    sentence(tmp_path / "out", dtype)
    script = tmp_path / "out" / "starter" / "javascript"
    (script / "node_modules").symlink_to(packages())
    assert run([node, "answer.mjs", QUESTION], script) == SENTENCE + "\n"


def test_the_guide_answers_from_its_own_starters(tmp_path: Path) -> None:
    for package in ("torch", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="needs penjing[onnx]")
    from penjing.export.onnx.target import Onnx
    from penjing.export.target import Options

    output = tmp_path / "out"
    output.mkdir()
    Onnx().write(guide().parent, output, Options("int4", name="guide"))
    question = "What is a KV cache?"
    for script in ("answer.py", "genai.py"):
        said = run([sys.executable, str(output / "starter" / "python" / script), question])
        assert "keys and values" in said, script
    script_folder = output / "starter" / "javascript"
    (script_folder / "node_modules").symlink_to(packages())
    assert "keys and values" in run([program("node"), "answer.mjs", question], script_folder)


def test_onnx_on_android_compiles(tmp_path: Path) -> None:
    variants = [
        facts("float16"),
        dataclasses.replace(facts("float32"), files={**facts("float32").files, "data": "model.onnx.data"}),
        dataclasses.replace(
            facts("float32"),
            inputs={"ids": Tensor("ids", (1, "n"), "int32"), "positions": Tensor("positions", ("n",), "int32")},
        ),
    ]
    sources = []
    for number, variant in enumerate(variants):
        starters.write(variant, tmp_path / str(number))
        source = tmp_path / str(number) / "starter" / "android" / "Model.kt"
        source.write_text(f"package variant{number}\n" + source.read_text())
        sources.append(source)
    kotlin(sources, "onnx", tmp_path)


def gguf(folder: Path) -> Facts:
    """Write a folder with the guide and its starters."""
    folder.mkdir()
    (folder / "guide.gguf").symlink_to(guide())
    about = Facts("gguf", "guide", "q8_0", {"model": "guide.gguf"}, context=1024, manner=manner.read(guide().parent))
    starters.write(about, folder)
    return about


def test_gguf_in_python(tmp_path: Path) -> None:
    gguf(tmp_path / "out")
    said = run([sys.executable, str(tmp_path / "out" / "starter" / "python" / "answer.py"), "What is a KV cache?"])
    assert "keys and values" in said


def test_gguf_in_c_compiles(tmp_path: Path) -> None:
    gguf(tmp_path / "out")
    source = tmp_path / "out" / "starter" / "cpp" / "answer.cpp"
    run([program("g++"), "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", *llama_headers(), str(source)])
