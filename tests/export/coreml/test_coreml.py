"""Checkpoints become Core ML packages whose programs, run by the reference interpreter, say what the decoder says."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.exports
torch = pytest.importorskip("torch")  # the light environment has none
pytest.importorskip("coremltools")

from safetensors.torch import load_file, save_file  # noqa: E402
from tiny_checkpoints import SAMPLES, make  # noqa: E402

from penjing.export import make as exporting  # noqa: E402  after what they need was found
from penjing.export.calibration import NothingToCalibrate  # noqa: E402
from penjing.export.coreml import names, verify  # noqa: E402
from penjing.export.coreml.faults import (  # noqa: E402
    NoBlocks,
    NotAProgram,
    SequenceTooLong,
    WrongProgram,
)
from penjing.export.coreml.interpreter import Interpreter  # noqa: E402
from penjing.export.coreml.package import matrices  # noqa: E402
from penjing.export.coreml.program import read  # noqa: E402
from penjing.export.coreml.quantize import block  # noqa: E402
from penjing.export.coreml.target import ABOUT, PACKAGE, CoreML  # noqa: E402
from penjing.export.decoder import weights  # noqa: E402
from penjing.export.decoder.cache import Growing  # noqa: E402
from penjing.export.decoder.shape import read as read_shape  # noqa: E402
from penjing.export.fixed import ContextFull  # noqa: E402
from penjing.export.target import Options  # noqa: E402
from penjing.progress import Progress  # noqa: E402

CONTEXT, PREFILL, DECODED = 48, 22, 10
CASES = {
    "llama": ("llama-3", "fp16", 0),
    "llama-fixed": ("llama-3", "fp16", 4),
    "qwen": ("qwen-3", "int4", 0),
    "gemma": ("gemma-2", "int8", 0),
}


def checkpoint(name: str, folder: Path) -> Path:
    """The sample with its tokenizer only where one is needed: making it takes longer than the rest. Some rows are all
    zero, as those of tokens are that pad a vocabulary: blocks of such have no scale."""
    folder.mkdir()
    sample = SAMPLES[name]
    make(sample if name == "qwen-3" else replace(sample, tokenizer=lambda path: None), folder)
    tensors = load_file(folder / "model.safetensors")
    for tensor in ("model.embed_tokens.weight", "model.layers.0.mlp.gate_proj.weight"):
        tensors[tensor][-40:] = 0
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """For each case the checkpoint and its export, which takes seconds."""
    torch.set_num_threads(1)
    root, made = tmp_path_factory.mktemp("coreml"), {}
    for case, (name, precision, sequence) in CASES.items():
        model = root / name
        if not model.exists():
            checkpoint(name, model)
        options = Options(precision, context=CONTEXT, sequence=sequence, name=name)
        exporting.make(CoreML(), model, root / case, options)
        made[case] = (model, root / case)
    return made


def with_its_weights(model: Path, package: Path) -> Any:
    """The decoder of `model` with the numbers that are in `package`."""
    decoder = weights.load(model, CONTEXT)
    interpreter = Interpreter(read(package))
    for name, parameter in decoder.named_parameters(remove_duplicate=False):
        found = [value for key, value in interpreter.fixed.items() if f"{key}_".startswith(f"{names.stem(name)}_")]
        if found and parameter.ndim == 2:
            parameter.data = torch.from_numpy(found[0].copy())
    return Growing(decoder)


@pytest.mark.parametrize("case", CASES)
def test_a_program_says_what_the_decoder_says(case: str, exported: dict[str, tuple[Path, Path]]) -> None:
    model, output = exported[case]
    form = with_its_weights(model, output / PACKAGE)
    ids = torch.randint(0, 600, (PREFILL + DECODED,), generator=torch.Generator().manual_seed(1)).tolist()
    with torch.no_grad():
        wanted = form(torch.tensor([ids]), torch.arange(len(ids)), *form.empty())[0][0].numpy()
    runtime = CoreML().reload(output)
    runtime.prefill(ids[:5])  # a conversation before it leaves nothing behind
    found = np.concatenate([runtime.prefill(ids[:PREFILL]), [runtime.decode(token) for token in ids[PREFILL:]]])
    error = float(np.abs(found - wanted).max() / wanted.std())
    print(f"{case}: max abs error {error:.4f} standard deviations")
    assert error < 0.1  # half precision through sharp random weights; what is computed wrongly is off by more than 1
    best = np.sort(wanted, -1)
    clear = best[:, -1] - best[:, -2] > 0.1 * wanted.std()  # of random weights, some are next to equal
    assert clear.mean() > 0.5
    assert (found.argmax(-1) == wanted.argmax(-1))[clear].all()
    with pytest.raises(ContextFull):
        runtime.prefill([1] * (CONTEXT + 1))


def test_what_lies_in_the_folder(exported: dict[str, tuple[Path, Path]]) -> None:
    _, output = exported["qwen"]
    told = json.loads((output / ABOUT).read_text())
    assert told["model"] == "qwen-3"
    assert told["weights"]["matrices"] == 2 * 7 + 1  # the head is the embedding
    assert told["weights"]["worst"] < 0.2
    assert {each["name"] for each in told["inputs"]} == {names.IDS, names.FULL}
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (output / name).is_file()
    written = (output / "starter" / "swift" / "Sources" / "LocalModel" / "LocalModel.swift").read_text()
    for name in told["inputs"]:
        assert f'"{name["name"]}": ' in written
    fixed = exported["llama-fixed"][1] / "starter" / "swift" / "Sources" / "LocalModel" / "LocalModel.swift"
    assert f"room = {CONTEXT + 3}" in fixed.read_text()


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model = checkpoint("llama-3", tmp_path / "model")
    for options, error in (
        (Options("fp16", context=CONTEXT, sequence=CONTEXT + 1), SequenceTooLong),
        (Options("int8", context=CONTEXT, calibration=tmp_path), NothingToCalibrate),
    ):
        with pytest.raises(error):
            exporting.make(CoreML(), model, tmp_path / "out", options)


def test_a_package_that_is_something_else_is_found_out(exported: dict[str, tuple[Path, Path]]) -> None:
    model, output = exported["qwen"]
    program = read(output / PACKAGE)
    shape, _ = read_shape(model)
    verify.structure(program, shape, CONTEXT, 0)
    for context, steps in ((CONTEXT + 1, 0), (CONTEXT, 4)):
        with pytest.raises(WrongProgram):
            verify.structure(program, shape, context, steps)
    parents = {name: each.numpy() for name, each in weights.read(model, shape).items() if each.ndim == 2}
    interpreter, wanted = Interpreter(program), matrices(weights.load(model, CONTEXT), "int4")
    verify.weights(interpreter, parents, wanted)
    first, second = "layers.0.mlp.gate.weight", "layers.1.mlp.gate.weight"
    swapped = parents | {first: parents[second], second: parents[first]}
    with pytest.raises(WrongProgram, match="off by"):
        verify.weights(interpreter, swapped, wanted)
    with pytest.raises(WrongProgram, match="instead of a"):
        verify.weights(interpreter, parents, matrices(weights.load(model, CONTEXT), "pal4"))


def test_a_damaged_package_is_refused(exported: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    _, output = exported["llama"]
    inside = Path("Data", "com.apple.CoreML")
    for name, harm in (
        ("Manifest.json", lambda path: path.write_text("{}")),
        (inside / "model.mlmodel", lambda path: path.write_bytes(path.read_bytes()[:-100])),
        (inside / "weights" / "weight.bin", Path.unlink),
    ):
        package = shutil.copytree(output / PACKAGE, tmp_path / Path(name).name / PACKAGE)
        harm(package / name)
        with pytest.raises(NotAProgram):
            read(package)


def test_palettes_with_calibration_text(tmp_path: Path) -> None:
    model, text = checkpoint("qwen-3", tmp_path / "model"), tmp_path / "text.txt"
    text.write_text("the quick brown fox reads what a person wrote, and then it answers.\n" * 40)
    heard: list[Progress] = []
    options = Options("pal4", context=CONTEXT, calibration=text, starter=False)
    exporting.make(CoreML(), model, tmp_path / "out", options, heard.append)
    stages = {each.stage for each in heard}
    assert {"reading", "measuring", "calibrating", "converting", "quantizing", "writing"} <= stages
    assert [each.fraction for each in heard] == sorted(each.fraction for each in heard)
    kinds = [each.kind for each in read(tmp_path / "out" / PACKAGE).operations]
    assert kinds.count("constexpr_lut_to_dense") == 2 * 7
    form = with_its_weights(model, tmp_path / "out" / PACKAGE)
    assert len(form.decoder.layers[0].mlp.gate.weight[:16].unique()) <= 16


def test_what_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    def cancel(progress: Progress) -> None:
        if progress.stage == "converting":
            raise KeyboardInterrupt

    model = checkpoint("llama-3", tmp_path / "model")
    with pytest.raises(KeyboardInterrupt):
        exporting.make(CoreML(), model, tmp_path / "out", Options("fp16", context=CONTEXT), cancel)
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


def test_rows_that_no_block_divides() -> None:
    assert block([64, 128]) == 32
    assert block([64, 24]) == 8
    with pytest.raises(NoBlocks, match="60"):
        block([64, 60])
