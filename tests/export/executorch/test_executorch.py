"""A `.pte` says what its parent says, and ExecuTorch's runner, the starters and a C++ program answer with it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from export.compilers import kotlin, program, run

pytestmark = pytest.mark.exports
torch = pytest.importorskip("torch")  # the light environment has none
executorch = pytest.importorskip("executorch", reason="needs penjing[executorch]")

from tiny_checkpoints import SAMPLES, make  # noqa: E402

from penjing.export import make as exporting  # noqa: E402  after what they need was found
from penjing.export.check import Prompt, compare  # noqa: E402
from penjing.export.executorch.faults import ExecuTorchRefuses  # noqa: E402
from penjing.export.executorch.target import MODEL, ExecuTorch  # noqa: E402
from penjing.export.fixed import ContextFull  # noqa: E402
from penjing.export.original import original  # noqa: E402
from penjing.export.target import Options  # noqa: E402

CONTEXT, CHUNK = 80, 32
QUESTION = "What is a KV cache?"
PROMPTS = [Prompt("en", tuple(range(4, 44))), Prompt("zh", tuple(range(700, 667, -1)))]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def write(name: str, precision: str, folder: Path) -> tuple[Path, Path]:
    """The sample `name` and its export below `folder`."""
    model, output = folder / "model", folder / "out"
    model.mkdir()
    make(SAMPLES[name], model)
    options = Options(precision, context=CONTEXT, sequence=CHUNK, name=name)
    exporting.make(ExecuTorch(), model, output, options)
    return model, output


@pytest.mark.parametrize("name", ["llama-3", "phi-3"])
def test_a_family_is_exported_exactly(name: str, tmp_path: Path) -> None:
    model, output = write(name, "fp32", tmp_path)
    child = ExecuTorch().reload(output)
    found = compare(original(model, CONTEXT), child, PROMPTS)[0]
    print(f"{name}: {found}")
    assert found.relative_error < 1e-4
    assert found.top1 == 1
    with pytest.raises(ContextFull):
        child.prefill(range(CONTEXT + 1))
    child.close()


def test_a_damaged_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / MODEL).write_bytes(b"no program")
    with pytest.raises(ExecuTorchRefuses):
        ExecuTorch().reload(tmp_path)


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A Qwen 3 and its export in 4 bits."""
    torch.set_num_threads(1)
    return write("qwen-3", "8da4w", tmp_path_factory.mktemp("executorch"))


def answer(output: Path) -> str:
    """What the Python starter says."""
    return run([sys.executable, str(output / "starter" / "python" / "answer.py"), QUESTION])


def test_four_bits_are_close(quantized: tuple[Path, Path]) -> None:
    model, output = quantized
    found = compare(original(model, CONTEXT), ExecuTorch().reload(output), PROMPTS)[0]
    print(f"qwen-3, 8da4w: {found}")
    assert found.kl < 0.1
    assert (output / MODEL).stat().st_size < 0.5 * (model / "model.safetensors").stat().st_size


def test_executorchs_own_runner_takes_it(quantized: tuple[Path, Path]) -> None:
    script = """
import sys
from executorch.extension.llm.runner import GenerationConfig, TextLLMRunner
import executorch.kernels.quantized
runner = TextLLMRunner(sys.argv[1], sys.argv[2])
runner.generate(sys.argv[3], GenerationConfig(max_new_tokens=8, temperature=0.0, echo=False), print)
"""
    output = quantized[1]
    assert run([sys.executable, "-c", script, str(output / MODEL), str(output / "tokenizer.json"), QUESTION]).strip()


def test_the_program_in_cpp_gives_the_same_answer(quantized: tuple[Path, Path], tmp_path: Path) -> None:
    output, cpp = quantized[1], tmp_path / "cpp"
    shutil.copytree(output / "starter" / "cpp", cpp)
    package = next(iter(executorch.__path__))
    run([program("cmake"), "-B", "build", f"-DCMAKE_PREFIX_PATH={package}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra"], cpp)
    run([program("cmake"), "--build", "build"], cpp)
    tokens = [sys.executable, str(output / "starter" / "cpp" / "tokens.py")]
    ids = run([*tokens, "encode", QUESTION])
    words = [str(cpp / "build" / "answer"), str(output / MODEL)]
    found = subprocess.run(words, input=ids, capture_output=True, text=True, timeout=100, check=True).stdout
    said = subprocess.run([*tokens, "decode"], input=found, capture_output=True, text=True, timeout=100, check=True)
    assert said.stdout == answer(output) != "\n"


def test_the_android_starter_compiles(quantized: tuple[Path, Path], tmp_path: Path) -> None:
    kotlin([quantized[1] / "starter" / "android" / "Model.kt"], "executorch", tmp_path)
