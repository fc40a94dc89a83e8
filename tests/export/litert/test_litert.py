"""A `.tflite` says what its parent says, and LiteRT-LM and the starters answer with it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.compilers import kotlin, run

pytestmark = pytest.mark.exports
torch = pytest.importorskip("torch")  # the light environment has none
pytest.importorskip("litert_torch", reason="needs penjing[litert]")

from tiny_checkpoints import SAMPLES, make  # noqa: E402

from penjing.export import make as exporting  # noqa: E402  after what they need was found
from penjing.export.check import Prompt, compare  # noqa: E402
from penjing.export.fixed import ContextFull  # noqa: E402
from penjing.export.litert.faults import LiteRTRefuses, NoBlocks  # noqa: E402
from penjing.export.litert.target import BUNDLE, MODEL, LiteRT  # noqa: E402
from penjing.export.original import original  # noqa: E402
from penjing.export.target import Options  # noqa: E402
from penjing.progress import Progress  # noqa: E402
from penjing.store.resolve import guide  # noqa: E402

CONTEXT, CHUNK = 80, 32
QUESTION = "What is a KV cache?"
PROMPTS = [Prompt("en", tuple(range(4, 44))), Prompt("zh", tuple(range(700, 667, -1)))]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Told:
    """What was reported."""

    stages: list[str]

    def __call__(self, progress: Progress) -> None:
        assert 0 <= progress.fraction <= 1
        self.stages.append(progress.stage)


def write(model: Path, output: Path, precision: str) -> list[Path]:
    output.mkdir()
    return LiteRT().write(model, output, Options(precision, context=CONTEXT, sequence=CHUNK))


def measured(model: Path, output: Path) -> Any:
    """Prompts longer than a chunk, with one that is filled up, and what follows until little room is left."""
    child = LiteRT().reload(output)
    try:
        return compare(original(model, CONTEXT), child, PROMPTS)[0]
    finally:
        child.close()


def zeros(model: Path) -> None:
    """Make some rows and blocks of the checkpoint zero, as vocabularies that were filled up have them."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(model / "model.safetensors")
    for name, values in tensors.items():
        if values.dim() == 2:
            values[-5:] = 0
            values[0, :32] = 1e-9 if name.endswith("k_proj.weight") else 0
    save_file(tensors, model / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("name", ["llama-3", "gemma-3"])
def test_a_family_is_exported_exactly(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    make(SAMPLES[name], folder)
    write(folder, tmp_path / "out", "fp32")
    found = measured(folder, tmp_path / "out")
    print(f"{name}: {found}")
    assert found.relative_error < 1e-4
    assert found.top1 == 1


def test_four_bits_with_rows_of_zeros(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    make(SAMPLES["qwen-3"], folder)
    zeros(folder)
    write(folder, tmp_path / "out", "int4")
    assert capfd.readouterr().out == ""  # what it prints is data
    found = measured(folder, tmp_path / "out")
    print(f"qwen-3, int4: {found}")
    assert found.kl < 0.1
    child = LiteRT().reload(tmp_path / "out")
    with pytest.raises(ContextFull):
        child.prefill(range(CONTEXT + 1))


def test_rows_without_whole_blocks_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    sample = SAMPLES["llama-3"]
    make(type(sample)(**{**vars(sample), "settings": {**sample.settings, "intermediate_size": 136}}), folder)
    with pytest.raises(NoBlocks, match="136"):
        write(folder, tmp_path / "out", "int4")


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / MODEL).write_bytes(b"no model")
    with pytest.raises(LiteRTRefuses):
        LiteRT().reload(tmp_path)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guide in 8 bits, checked."""
    torch.set_num_threads(1)
    output = tmp_path_factory.mktemp("litert") / "out"
    target, model, told = LiteRT(), guide().parent, Told([])
    options = Options("int8", context=256, name="guide")
    exporting.make(target, model, output, options, told)
    assert list(dict.fromkeys(told.stages)) == ["reading", "converting", "quantizing", "writing"]
    assert exporting.verify(target, model, output, options).verified
    return output


def test_the_guide_is_smaller_and_verified(exported: Path) -> None:
    assert json.loads((exported / "check.json").read_text())["verified"] is True
    whole = (guide().parent / "model.safetensors").stat().st_size  # 16 bits a weight
    assert (exported / MODEL).stat().st_size < 0.6 * whole
    assert not list(exported.glob("float32*"))


def test_starter_and_bundle_give_the_same_answer(exported: Path) -> None:
    script = exported / "starter" / "python"
    said = run([sys.executable, str(script / "answer.py"), QUESTION])
    assert "keys and values" in said
    pytest.importorskip("litert_lm", reason="needs litert-lm-api")
    assert run([sys.executable, str(script / "bundle.py"), QUESTION]).strip() == said.strip()


def test_the_bundle_knows_how_the_model_is_talked_to(exported: Path) -> None:
    litert_lm = pytest.importorskip("litert_lm", reason="needs litert-lm-api")
    with (
        litert_lm.Engine(str(exported / BUNDLE), cache_dir=":nocache") as engine,
        engine.create_conversation() as conversation,
    ):
        asked = conversation.render_message_to_string({"role": "user", "content": QUESTION})
    assert QUESTION in asked
    assert asked.startswith("<|im_start|>user")


def test_android_starters_compile(exported: Path, tmp_path: Path) -> None:
    kotlin(sorted((exported / "starter" / "android").glob("*.kt")), "litert", tmp_path)


def test_every_signature_has_the_same_cache(exported: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    found = Interpreter(model_path=str(exported / MODEL)).get_signature_list()
    assert sorted(found) == ["decode", "prefill_128"]
    given = [set(each["inputs"]) - {"tokens", "input_pos"} for each in found.values()]
    kept = [set(each["outputs"]) - {"logits"} for each in found.values()]
    assert given[0] == given[1] == kept[0] == kept[1]
    assert len(given[0]) == 2 * 6
    assert np.all(["logits" in found["decode"]["outputs"], "logits" not in found["prefill_128"]["outputs"]])
