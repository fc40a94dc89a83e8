"""The reference interpreter: each operation against its plain definition, and programs that it must refuse."""

from __future__ import annotations

from math import erf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from penjing.export.coreml.faults import NotAProgram, UnknownOperation
from penjing.export.coreml.interpreter import Interpreter, held
from penjing.export.coreml.operations import TABLE
from penjing.export.coreml.program import Feature, Operation, Program

few = settings(max_examples=30, deadline=None)
small = arrays.arrays(
    np.float32, arrays.array_shapes(min_dims=1, max_dims=3, max_side=5), elements=st.floats(-4, 4, width=32)
)


def run(kind: str, **given: Any) -> Any:
    return TABLE[kind](given)


@few
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
def test_blocks_and_palettes(rows: int, tall: int, columns: int, wide: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = random.integers(-8, 8, (rows * tall, columns * wide)).astype(np.int8)
    scale = random.normal(size=(rows, columns)).astype(np.float32)
    offset = random.integers(-3, 3, scale.shape).astype(np.int8)
    dense = run("constexpr_blockwise_shift_scale", data=data, scale=scale, offset=offset)
    tables = random.normal(size=(rows, columns, 16, 1)).astype(np.float32)
    looked = run("constexpr_lut_to_dense", indices=(data + 8).astype(np.uint8), lut=tables)
    for i in range(data.shape[0]):
        for j in range(data.shape[1]):
            at = (i // tall, j // wide)
            assert dense[i, j] == pytest.approx(scale[at] * (int(data[i, j]) - int(offset[at])))
            assert looked[i, j] == tables[(*at, data[i, j] + 8, 0)]


@few
@given(small, st.data())
def test_slices(x: np.ndarray, data: st.DataObject) -> None:
    begin = [data.draw(st.integers(0, size - 1)) for size in x.shape]
    end = [data.draw(st.integers(at + 1, size)) for at, size in zip(begin, x.shape, strict=True)]
    masks = [[data.draw(st.booleans()) for _ in x.shape] for _ in range(3)]
    given = {"x": x, "begin": np.array(begin), "end": np.array(end)}
    given |= dict(zip(("begin_mask", "end_mask", "squeeze_mask"), map(np.array, masks), strict=True))
    chosen = tuple(
        begin[axis]
        if masks[2][axis]
        else slice(0 if masks[0][axis] else begin[axis], None if masks[1][axis] else end[axis])
        for axis in range(x.ndim)
    )
    part = run("slice_by_index", **given)
    assert np.array_equal(part, x[chosen])
    changed = run("slice_update", **given, update=part + 1)
    wanted = x.copy()
    wanted[chosen] += 1
    assert np.array_equal(changed, wanted)
    with pytest.raises(ValueError, match="does not fit"):
        run("slice_update", **given, update=np.zeros(part.size + 1, np.float32))


@few
@given(small)
def test_what_one_array_becomes(x: np.ndarray) -> None:
    exact = x.astype(np.float64)
    for kind, wanted in {
        "silu": exact / (1 + np.exp(-exact)),
        "softmax": np.exp(exact) / np.exp(exact).sum(-1, keepdims=True),
        "tanh": np.tanh(exact),
        "gelu": exact * (1 + np.vectorize(erf)(exact / 2**0.5)) / 2,
    }.items():
        assert np.allclose(run(kind, x=x), wanted, atol=1e-5), kind
    assert np.allclose(run("rsqrt", x=np.abs(x) + 1, epsilon=np.float32(0)), (np.abs(exact) + 1) ** -0.5, atol=1e-5)
    assert run("reshape", x=x, shape=np.array([0] * (x.ndim - 1) + [-1])).shape == x.shape
    assert np.array_equal(run("concat", values=[x, x], axis=0), np.concatenate([x, x]))


def program(*steps: Operation) -> Program:
    """x [1 to 4] float16 in, y out, a state of 4."""
    x = Feature("x", "float16", ((1, 4),))
    state = Feature("kept", "float16", ((4, 4),))
    return Program(Path("some.mlpackage"), 9, (x,), (Feature("y", "float16", ()),), (state,), steps, {})


READ = Operation("read_state", {"input": ("kept",)}, (("before", "FLOAT16"),))
ADD = Operation("add", {"x": ("before",), "y": ("x",)}, (("y", "FLOAT16"),))
KEEP = Operation("write_state", {"input": ("kept",), "data": ("y",)}, ())


def test_a_state_lasts_until_it_is_reset_and_half_precision_rounds() -> None:
    interpreter = Interpreter(program(READ, ADD, KEEP))
    x = np.array([0.1, 1, 2049, 60000], np.float32)
    assert interpreter.run({"x": x})["y"].tolist() == [float(np.float16(0.1)), 1, 2048, 60000]
    assert interpreter.run({"x": x})["y"].tolist()[1:] == [2, 4096, np.inf]
    interpreter.reset()
    assert interpreter.run({"x": x})["y"][1] == 1
    assert np.asarray(held(np.array([1.7]), "INT32")).tolist() == [1]


def test_what_cannot_be_run_is_refused() -> None:
    with pytest.raises(UnknownOperation, match="lstm"):
        Interpreter(program(Operation("lstm", {}, (("y", "FLOAT16"),))))
    interpreter = Interpreter(program(READ, ADD))
    for inputs in ({}, {"x": np.zeros(5, np.float32)}, {"x": np.zeros((1, 4), np.float32)}):
        with pytest.raises(NotAProgram):
            interpreter.run(inputs)
    with pytest.raises(NotAProgram, match="nothing makes"):
        Interpreter(program(ADD)).run({"x": np.zeros(4, np.float32)})
    outside = Operation("gather", {"x": ("x",), "indices": ("at",)}, (("y", "FLOAT16"),))
    at = Operation("const", {}, (("at", "INT32"),), np.array([9], np.int32))
    with pytest.raises(NotAProgram, match="an index"):
        Interpreter(program(at, outside)).run({"x": np.zeros(4, np.float32)})
