"""Our attention in a native library against the formula, computed in double precision: the sources alone are compiled,
with as much of ggml as they touch (tests/native/attention)."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

pytestmark = pytest.mark.extras

HERE = Path(__file__).parent / "attention"
PARTS = ("attention", "attend_few", "attend_many")
F32, F16, HALVES = range(3)
SOURCES = 10
Numbers = NDArray[np.float64]


class Tensor(ctypes.Structure):
    """`ggml_tensor` of tests/native/attention/ggml.h."""


Tensor._fields_ = [
    ("type", ctypes.c_int),
    ("ne", ctypes.c_int64 * 4),
    ("nb", ctypes.c_size_t * 4),
    ("params", ctypes.c_float * 16),
    ("src", ctypes.POINTER(Tensor) * SOURCES),
    ("data", ctypes.c_void_p),
]


X86 = platform.machine().lower() in ("x86_64", "amd64")
FLAGS = {"native": "-march=native", **({"avx2": "-mavx2 -mfma"} if X86 else {}), "plain": ""}


@pytest.fixture(scope="module", params=list(FLAGS.values()), ids=list(FLAGS))
def attend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The compiled sources, for this processor and for any of its kind."""
    compiler = shutil.which("c++")
    if compiler is None:  # .ci/run installs one; whoever has none cannot compile a library either
        pytest.skip("needs a C++ compiler: apt install g++")
    made = tmp_path_factory.mktemp("attention") / "attention.so"
    with resources.as_file(resources.files("penjing") / "data" / "native") as ours:
        sources = [str(ours / f"{part}.cpp") for part in PARTS]
        flags = [*request.param.split(), "-O2", "-std=c++17", "-shared", "-fPIC", "-pthread", "-Wall", "-Wno-psabi"]
        command = [
            compiler,
            *flags,
            "-Werror",
            f"-I{HERE}",
            f"-I{ours}",
            *sources,
            str(HERE / "harness.cpp"),
            "-o",
            str(made),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(made))


def tensor(numbers: NDArray[np.generic], kind: int) -> Tensor:
    """numpy's axes are ggml's backwards."""
    found = Tensor(type=kind, data=numbers.ctypes.data)
    found.ne[:] = numbers.shape[::-1]
    found.nb[:] = numbers.strides[::-1]
    return found


@dataclass
class Case:
    """Sizes; `kept`: which share of cells a token sees."""

    tokens: int
    groups: int = 2
    shared: int = 3
    width: int = 32
    cells: int = 100
    streams: int = 1
    kept: float = 0.5
    threads: int = 2
    cap: float = 0.0
    sinks: bool = False
    masked: bool = True
    kind: int = F16
    bias: float = 0.0
    room: int = 1 << 20
    reference: bool = False
    seed: int = 0


def formula(case: Case, q: Numbers, k: Numbers, v: Numbers, mask: Numbers, sinks: Numbers) -> Numbers:
    """softmax(q k / sqrt(width) + mask) v; [stream, token, head, width]."""
    k, v = (np.repeat(each, case.shared, axis=1) for each in (k, v))
    scores = np.einsum("shtd,shcd->shtc", q, k) / np.sqrt(case.width)
    if case.cap:
        scores = case.cap * np.tanh(scores / case.cap)
    scores = scores + mask[:, None]
    last = np.broadcast_to(sinks[None, :, None, None], (*scores.shape[:3], 1))
    scores = np.concatenate([scores, last], axis=-1)
    most = scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(most), most, 0))
    mass = weights.sum(axis=-1, keepdims=True)
    weights = weights[..., :-1] / np.where(mass > 0, mass, 1)
    found: Numbers = np.einsum("shtc,shcd->sthd", weights, v)
    return found


def computed(library: ctypes.CDLL, case: Case) -> tuple[NDArray[np.float32] | None, Numbers]:
    """What the library finds (None where it leaves it to llama.cpp), and what the formula says."""
    dice = np.random.default_rng(case.seed)
    heads = case.groups * case.shared
    q = dice.standard_normal((case.streams, heads, case.tokens, case.width)).astype(np.float32)
    size = (case.streams, case.groups, case.cells, case.width)
    stored = np.float16 if case.kind == F16 else np.float32
    k, v = (dice.standard_normal(size).astype(stored) for _ in range(2))
    mask = np.where(dice.random((case.streams, 1, case.tokens, case.cells)) < case.kept, 0, -np.inf).astype(np.float16)
    mask[..., ::7] += np.float16(0.25)
    sinks = dice.standard_normal(heads).astype(np.float32)
    found = np.full((case.streams, case.tokens, heads, case.width), np.nan, np.float32)
    dst = tensor(found, F32)
    dst.params[:3] = (1 / np.sqrt(case.width), case.bias, case.cap)
    parts = [
        tensor(q, F32),
        tensor(k, case.kind),
        tensor(v, case.kind),
        tensor(mask, F16),
        tensor(sinks[None, None, None], F32),
    ]
    there = (True, True, True, case.masked, case.sinks)
    for place, part in enumerate(parts):
        if there[place]:
            dst.src[place] = ctypes.pointer(part)
    left = library.attend(ctypes.byref(dst), case.threads, ctypes.c_int64(case.room), int(case.reference))
    wide, deep = (each.astype(np.float64) / (2 if case.kind == HALVES else 1) for each in (k, v))
    seen = mask[:, 0].astype(np.float64) if case.masked else np.zeros((case.streams, case.tokens, case.cells))
    said = formula(
        case,
        q.astype(np.float64),
        wide,
        deep,
        seen,
        sinks.astype(np.float64) if case.sinks else np.full(heads, -np.inf),
    )
    return (None if left else found), said


@given(
    case=st.builds(
        Case,
        tokens=st.one_of(st.integers(1, 11), st.integers(12, 150)),
        groups=st.integers(1, 3),
        shared=st.integers(1, 7),
        width=st.sampled_from([16, 32, 64, 80]),
        cells=st.integers(1, 300),
        streams=st.integers(1, 2),
        kept=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
        threads=st.integers(1, 3),
        cap=st.sampled_from([0.0, 5.0]),
        sinks=st.booleans(),
        masked=st.booleans(),
        kind=st.sampled_from([F32, F16, HALVES]),
        room=st.sampled_from([0, 1 << 20]),
        seed=st.integers(0, 99),
    )
)
@settings(max_examples=150, deadline=None)
def test_it_is_the_formula(attend: ctypes.CDLL, case: Case) -> None:
    found, said = computed(attend, case)
    assert found is not None
    np.testing.assert_allclose(found, said, rtol=2e-4, atol=2e-5)


def test_a_prompt_after_what_others_left_in_the_cache(attend: ctypes.CDLL) -> None:
    """Long runs of cells that nobody sees, in front and between."""
    for tokens in (1, 40):
        found, said = computed(attend, Case(tokens, cells=2000, kept=0.004, shared=7, width=64, seed=3))
        assert found is not None
        np.testing.assert_allclose(found, said, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("case", [Case(3, bias=8.0), Case(3, width=42), Case(3, reference=True)], ids=repr)
def test_what_is_unusual_is_left_to_llama_cpp(attend: ctypes.CDLL, case: Case) -> None:
    found, _ = computed(attend, case)
    assert found is None
