"""A `.pte` says what its parent says, and ExecuTorch's runner, the starters and a C++ program answer with it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from export.compilers import kotlin, program, run

pytestmark = pytest.mark.extras
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
from penjing.store.resolve import guide  # noqa: E402

CONTEXT, CHUNK = 80, 32
QUESTION = "What is a KV cache?"
PROMPTS = [Prompt("en", tuple(range(4, 44))), Prompt("zh", tuple(range(700, 667, -1)))]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(("name", "precision"), [("llama-3", "fp32"), ("gemma-3", "fp32"), ("qwen-3", "8da4w")])
def test_a_family_is_exported(name: str, precision: str, tmp_path: Path) -> None:
    folder, output = tmp_path / "model", tmp_path / "out"
    folder.mkdir()
    output.mkdir()
    make(SAMPLES[name], folder)
    ExecuTorch().write(folder, output, Options(precision, context=CONTEXT, sequence=CHUNK))
    child = ExecuTorch().reload(output)
    found = compare(original(folder, CONTEXT), child, PROMPTS)[0]
    print(f"{name}, {precision}: {found}")
    if precision == "fp32":
        assert found.relative_error < 1e-4
        assert found.top1 == 1
    else:
        assert found.kl < 0.1
    with pytest.raises(ContextFull):
        child.prefill(range(CONTEXT + 1))
    child.close()


def test_a_damaged_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / MODEL).write_bytes(b"no program")
    with pytest.raises(ExecuTorchRefuses):
        ExecuTorch().reload(tmp_path)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guide in 8 bits, checked."""
    torch.set_num_threads(1)
    output = tmp_path_factory.mktemp("executorch") / "out"
    target, model = ExecuTorch(), guide().parent
    options = Options("8da8w", context=256, name="guide")
    exporting.make(target, model, output, options)
    assert exporting.verify(target, model, output, options).verified
    return output


def test_the_guide_is_smaller_and_verified(exported: Path) -> None:
    assert json.loads((exported / "check.json").read_text())["verified"] is True
    whole = (guide().parent / "model.safetensors").stat().st_size  # 16 bits a weight
    assert (exported / MODEL).stat().st_size < 0.75 * whole  # embeddings and head are two matrices here


def test_the_starter_answers(exported: Path) -> None:
    said = run([sys.executable, str(exported / "starter" / "python" / "answer.py"), QUESTION])
    assert "keys and values" in said


def test_executorchs_own_runner_answers(exported: Path) -> None:
    script = """
import sys
from executorch.extension.llm.runner import GenerationConfig, TextLLMRunner
import executorch.kernels.quantized
runner = TextLLMRunner(sys.argv[1], sys.argv[2])
runner.generate(sys.argv[3], GenerationConfig(max_new_tokens=60, temperature=0.0, echo=False), print)
"""
    asked = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    said = run([sys.executable, "-c", script, str(exported / MODEL), str(exported / "tokenizer.json"), asked])
    assert "keys" in said


def test_the_program_in_cpp_gives_the_same_answer(exported: Path, tmp_path: Path) -> None:
    cpp = tmp_path / "cpp"
    shutil.copytree(exported / "starter" / "cpp", cpp)
    package = next(iter(executorch.__path__))
    run([program("cmake"), "-B", "build", f"-DCMAKE_PREFIX_PATH={package}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra"], cpp)
    run([program("cmake"), "--build", "build"], cpp)
    tokens = [sys.executable, str(exported / "starter" / "cpp" / "tokens.py")]
    ids = run([*tokens, "encode", QUESTION])
    answer = [str(cpp / "build" / "answer"), str(exported / MODEL)]
    found = subprocess.run(answer, input=ids, capture_output=True, text=True, timeout=100, check=True).stdout
    said = subprocess.run([*tokens, "decode"], input=found, capture_output=True, text=True, timeout=100, check=True)
    assert said.stdout == run([sys.executable, str(exported / "starter" / "python" / "answer.py"), QUESTION])


def test_the_android_starter_compiles(exported: Path, tmp_path: Path) -> None:
    kotlin([exported / "starter" / "android" / "Model.kt"], "executorch", tmp_path)
