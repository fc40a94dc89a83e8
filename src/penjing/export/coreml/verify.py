"""Whether a package on disk is the program that was asked for, and whether its weights are the parent's.

What counts is what stands in the files: each matrix is found where the program multiplies with it, dequantized, and
compared with the parent's.

Does not know: what the program answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penjing.export.coreml.faults import WrongProgram
from penjing.export.coreml.interpreter import Interpreter
from penjing.export.coreml.names import FULL, IDS, KEYS, LOGITS, POSITION, SLIDING, VALUES, stem
from penjing.export.coreml.program import Feature, Program
from penjing.export.decoder.shape import Shape

IOS18 = 9
"""The version of the specification that iOS 18 and macOS 15 read, the first with states."""
USES = {"linear": "weight", "gather": "x"}
KINDS = {16: "const", 8: "constexpr_blockwise_shift_scale", 4: "constexpr_blockwise_shift_scale"}
PALETTE = "constexpr_lut_to_dense"
LIMITS = {16: 1e-3, 8: 0.03, 6: 0.08, 4: 0.25}
"""The largest error of a matrix by its bits: root mean square, relative to the matrix. Another one would have 1.4."""


@dataclass(frozen=True)
class Matrix:
    """What a matrix must be: its bits a weight, in palettes or in scaled whole numbers."""

    bits: int
    palette: bool = False


@dataclass(frozen=True)
class Weights:
    """How far the weights are from the parent's: the mean over the matrices of the relative error, and the worst."""

    matrices: int
    mean: float
    worst: float
    name: str


def structure(program: Program, shape: Shape, room: int, steps: int) -> None:
    """Raises WrongProgram where `program` takes, gives or keeps something else than a decoder of `shape` with room for
    `room` tokens that reads `steps` at once (0: any number)."""
    if program.version < IOS18:
        _refuse(program, f"specification {program.version} instead of {IOS18}")
    new, seen = ((steps, steps), (room, room)) if steps else ((1, room), (1, room))
    one = (1, 1)
    wanted = {IDS: ("int32", (one, new)), FULL: ("float16", (one, one, new, seen))}
    if any(shape.sliding):
        wanted[SLIDING] = wanted[FULL]
    if steps:
        wanted[POSITION] = ("int32", (one,))
    _same(program, "inputs", program.inputs, wanted)
    cache = tuple((size, size) for size in (shape.layers, 1, shape.kv_heads, room, shape.head))
    _same(program, "states", program.states, {KEYS: ("float16", cache), VALUES: ("float16", cache)})
    if [(each.name, each.dtype) for each in program.outputs] != [(LOGITS, "float16")]:
        _refuse(program, f"its outputs are {program.outputs}")


def _same(
    program: Program, what: str, found: tuple[Feature, ...], wanted: Mapping[str, tuple[str, tuple[object, ...]]]
) -> None:
    there = {each.name: (each.dtype, each.shape) for each in found}
    if there != wanted:
        _refuse(program, f"its {what} are {there} instead of {wanted}")


def weights(
    interpreter: Interpreter, parents: Mapping[str, NDArray[np.float32]], wanted: Mapping[str, Matrix]
) -> Weights:
    """Compare each matrix of `parents` (the decoder's names) with that of the program. Raises WrongProgram where one is
    missing, is not kept as `wanted` says, or is further from its parent than its bits allow."""
    program = interpreter.program
    made = {name: each.kind for each in program.operations for name, _ in each.outputs}
    used = {each.inputs[USES[each.kind]][0] for each in program.operations if each.kind in USES}
    errors = {}
    for name, parent in parents.items():
        found = [each for each in used if f"{each}_".startswith(f"{stem(name)}_")]
        if not found:
            _refuse(program, f"nothing in it uses {name}")
        for each in found:
            kind = PALETTE if wanted[name].palette else KINDS[wanted[name].bits]
            if made[each] != kind:
                _refuse(program, f"{name} is a {made[each]} instead of a {kind}")
            errors[name] = relative(interpreter.fixed[each], parent)
            if not errors[name] <= LIMITS[wanted[name].bits]:
                _refuse(program, f"{name} is off by {errors[name]:.1%}")
    worst = max(errors, key=lambda name: errors[name])
    return Weights(len(errors), float(np.mean(list(errors.values()))), errors[worst], worst)


def relative(found: NDArray[np.float32], parent: NDArray[np.float32]) -> float:
    """Root mean square of the difference over that of `parent`; infinite where the shapes differ."""
    if found.shape != parent.shape:
        return float("inf")
    size = float(np.sqrt(np.mean(np.square(parent, dtype=np.float64))))
    off = float(np.sqrt(np.mean(np.square(found - parent, dtype=np.float64))))
    return off / size if size else off


def _refuse(program: Program, detail: str) -> None:
    raise WrongProgram(path=str(Path(program.path).name), detail=detail)
