"""A Core ML program run in numpy: the reference where Core ML itself is not (`predict` needs macOS).

What MIL calls fp16 is computed in float32 and rounded to half precision after every operation, so that what overflows
or underflows on a device does so here. Sums inside one operation keep float32, as Apple's GPUs and Neural Engine may or
may not; that much remains unknown.

Does not know: tokens, what the program is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from penjing.export.coreml.faults import NotAProgram, UnknownOperation
from penjing.export.coreml.operations import TABLE
from penjing.export.coreml.program import DTYPES, Array, Operation, Program, Value

STATES = ("read_state", "write_state")
FIXED = ("const", "constexpr_")


class Interpreter:
    """`program`, ready to run. Weights are dequantized once, to float32. Raises UnknownOperation, NotAProgram."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.fixed: dict[str, Any] = {}
        self.steps: list[Operation] = []
        for each in program.operations:
            self._require_known(each)
            if not each.kind.startswith(FIXED):
                self.steps.append(each)
            elif each.kind == "const":
                self.fixed[each.outputs[0][0]] = held(each.value, each.outputs[0][1])
            else:
                self.fixed |= self._made(each, self.fixed)
        self._forget(self.steps)
        self.reset()

    def reset(self) -> None:
        """States as they are at first: all zero."""
        self.states = {
            each.name: np.zeros([most for _, most in each.shape], np.float32) for each in self.program.states
        }

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """What comes out, by its names, for what goes in. Raises NotAProgram where the program cannot take it."""
        known: dict[str, Any] = dict(self.fixed)
        for each in self.program.inputs:
            known[each.name] = held(self._fitting(each.name, inputs), each.dtype.upper())
        for step in self.steps:
            if step.kind == "read_state":
                (state,) = step.inputs["input"]
                known[step.outputs[0][0]] = self.states[state]
            elif step.kind == "write_state":
                (state,), (value,) = step.inputs["input"], step.inputs["data"]
                self.states[state] = known[value]
            else:
                known |= self._made(step, known)
        return {each.name: known[each.name] for each in self.program.outputs}

    def _fitting(self, name: str, inputs: Mapping[str, Array]) -> Array:
        shape = next(each.shape for each in self.program.inputs if each.name == name)
        given = inputs.get(name)
        if given is None:
            raise self._refusal(f"the input {name} is missing")
        if len(shape) != given.ndim or not all(
            low <= size <= high for size, (low, high) in zip(given.shape, shape, strict=True)
        ):
            raise self._refusal(f"the input {name} has the shape {given.shape}; it takes {shape}")
        return given

    def _made(self, step: Operation, known: Mapping[str, Any]) -> dict[str, Value]:
        given = {name: self._given(step, name, refs, known) for name, refs in step.inputs.items()}
        try:
            with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):  # inf and NaN show
                made = TABLE[step.kind](given)
        except (ValueError, IndexError, KeyError) as error:
            raise self._refusal(f"{step.kind} for {step.outputs[0][0]}: {error}") from error
        ((name, dtype),) = step.outputs
        return {name: held(made, dtype)}

    def _given(self, step: Operation, parameter: str, names: tuple[str, ...], known: Mapping[str, Any]) -> Any:
        try:
            values = [known[name] for name in names]
        except KeyError as error:
            raise self._refusal(f"{step.kind} reads {error}, which nothing makes") from error
        return values if parameter == "values" else values[0]

    def _require_known(self, step: Operation) -> None:
        if step.kind not in TABLE and step.kind not in (*STATES, "const"):
            raise UnknownOperation(path=str(self.program.path), operation=step.kind, where=step.outputs[0][0])

    def _forget(self, steps: Iterable[Operation]) -> None:
        """Drop what only dequantizing needed."""
        used = {name for step in steps for names in step.inputs.values() for name in names}
        used |= {each.name for each in self.program.outputs}
        self.fixed = {name: value for name, value in self.fixed.items() if name in used}

    def _refusal(self, detail: str) -> NotAProgram:
        return NotAProgram(path=str(self.program.path), detail=detail)


def held(value: Value | None, dtype: str) -> Value:
    """A value as it is kept here: floating-point numbers in float32, rounded first where MIL's type is fp16."""
    if isinstance(value, str) or value is None:
        return value or ""
    if dtype == "FLOAT16":
        with np.errstate(over="ignore"):  # what is beyond 65504 is infinite in half precision, which is meant
            return np.asarray(value).astype(np.float16).astype(np.float32)
    return np.asarray(value).astype(DTYPES[dtype], copy=False)
