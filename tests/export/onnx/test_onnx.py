"""ONNX exports of checkpoints in their true format: ONNX Runtime's numbers against the parent's, GenAI's answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.exports, pytest.mark.filterwarnings("ignore")]  # of torch and onnx, not ours
torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
genai = pytest.importorskip("onnxruntime_genai")

from tiny_checkpoints import SAMPLES, make  # noqa: E402

from penjing.export import make as making  # noqa: E402
from penjing.export.onnx.quantize import BLOCK, MIDDLE, blocks  # noqa: E402
from penjing.export.onnx.runtime import OnnxRefused  # noqa: E402
from penjing.export.onnx.target import MODEL, Onnx  # noqa: E402
from penjing.export.original import original  # noqa: E402
from penjing.export.target import Options  # noqa: E402
from penjing.store.resolve import guide  # noqa: E402

GREEDY = 24


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("checkpoints")


def checkpoint(name: str, folder: Path) -> Path:
    if name == "guide":
        return guide().parent
    found = folder / name
    return found if found.is_dir() else make(SAMPLES[name], found)


@pytest.mark.parametrize(
    ("name", "precision"),
    [("llama-3", "fp32"), ("qwen-3", "fp32"), ("gemma-3", "fp32"), ("glm-4", "fp16"), ("guide", "int8")],
)
def test_an_export_says_what_its_parent_says(name: str, precision: str, checkpoints: Path, tmp_path: Path) -> None:
    source, options = checkpoint(name, checkpoints), Options(precision, name=name)
    making.make(Onnx(), source, tmp_path / "out", options)
    made = making.verify(Onnx(), source, tmp_path / "out", options)
    print(f"{name} {precision}: {made.whole}")
    assert made.verified
    assert json.loads((tmp_path / "out" / "check.json").read_text())["verified"] is True
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["parent"]


def test_genai_loads_the_folder_and_answers_alike(tmp_path: Path) -> None:
    """At 4 bits the parent is the export in ONNX Runtime: GenAI adds its loop and its tokenizer."""
    source = guide().parent
    making.make(Onnx(), source, tmp_path / "out", Options("int4", name="guide"))
    size = (tmp_path / "out" / MODEL).stat().st_size
    assert size < 0.25 * 4 * 5_770_496  # a tied embedding lies in the file once
    model = genai.Model(str(tmp_path / "out"))
    tokenizer = genai.Tokenizer(model)
    from tokenizers import Tokenizer

    text = "<|im_start|>user\nWhat is a KV cache? 什么是盆景？<|im_end|>\n<|im_start|>assistant\n"
    ids = Tokenizer.from_file(str(source / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    assert list(tokenizer.encode(text)) == ids
    parameters = genai.GeneratorParams(model)
    parameters.set_search_options(max_length=len(ids) + GREEDY, do_sample=False)
    generator = genai.Generator(model, parameters)
    generator.append_tokens(ids)
    while not generator.is_done():
        generator.generate_next_token()
    answer = [int(token) for token in generator.get_sequence(0)][len(ids) :]
    runtime = Onnx().reload(tmp_path / "out")
    wanted, logits = [], runtime.prefill(ids)[-1]
    for _ in answer:
        wanted.append(int(logits.argmax()))
        logits = runtime.decode(wanted[-1])
    runtime.close()
    assert len(answer) > 3
    assert answer == wanted
    assert tokenizer.decode(answer).strip()


def test_a_prompt_may_come_in_pieces(checkpoints: Path, tmp_path: Path) -> None:
    source = checkpoint("gemma-3", checkpoints)
    Onnx().write(source, tmp_path, Options("fp32", starter=False))
    session = onnxruntime.InferenceSession(tmp_path / MODEL, providers=["CPUExecutionProvider"])
    parent = original(source, 0)
    ids = list(range(10, 50))
    whole = parent.prefill(ids)
    cache = {
        each.name: np.zeros((1, each.shape[1], 0, each.shape[3]), np.float32)
        for each in session.get_inputs()
        if each.name.startswith("past")
    }
    names, found = [each.name for each in session.get_outputs()], []
    for first, last in ((0, 17), (17, 18), (18, 40)):
        given = {"input_ids": np.array([ids[first:last]]), "position_ids": np.arange(first, last)[None], **cache}
        made = dict(zip(names, session.run(None, given), strict=True))
        found.append(made.pop("logits")[0])
        cache = {name.replace("present", "past_key_values"): each for name, each in made.items()}
    assert np.abs(np.concatenate(found) - whole).max() < 1e-4


def test_blocks_come_back_within_half_a_step() -> None:
    weight = np.random.default_rng(0).normal(size=(5, 3 * BLOCK + 7)).astype(np.float32)
    weight[2] = 0
    numbers, scales = blocks(weight)
    wide = np.repeat(scales, BLOCK, 1)[:, : weight.shape[1]]
    back = (numbers.astype(np.float32) - MIDDLE) * wide
    assert (np.abs(back - weight) <= wide / 2 + 1e-6).all()
    assert (numbers[2] == MIDDLE).all()


def test_a_damaged_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / MODEL).write_bytes(b"nothing")
    with pytest.raises(OnnxRefused):
        Onnx().reload(tmp_path)
