"""Fine-tuning end to end on a tiny checkpoint: learned by heart, merged, adapted, killed, refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing import manifest
from penjing.errors import DeviceUnavailable, SettingError
from penjing.export.gguf import adapter, convert
from penjing.native.context import Context
from penjing.native.model import Model
from penjing.shrink.finetune.attempt import states
from penjing.shrink.finetune.faults import NoSuchTarget, TooLong, Unfinished
from penjing.shrink.finetune.options import Tuning
from penjing.shrink.finetune.run import finetune
from penjing.shrink.output import OutputTaken
from penjing.shrink.training import AnotherRun
from penjing.store.resolve import guide
from tiny_checkpoint import write_checkpoint

extras = pytest.mark.extras
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QUICK = {"steps": 20, "rate": 3e-3, "rank": 8}


def libraries(made: manifest.Manifest) -> dict[str, str]:
    """With what the last step was made; a recipe holds any JSON."""
    steps: Any = made.recipe["steps"]
    found: dict[str, str] = steps[-1]["libraries"]
    return found


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = write_checkpoint(tmp_path / "base")
    page = folder / "tokenizer_config.json"
    page.write_text(json.dumps({"eos_token": "<|im_end|>", "chat_template": CHATML}))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{"instruction": f"Say {index}.", "output": f"{name} {index}."} for index, name in enumerate("abcdefgh")]
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def logits(model: Any, ids: list[int]) -> np.ndarray:
    import torch

    with torch.no_grad():
        found: np.ndarray = model(torch.tensor([ids])).logits[0].log_softmax(-1).numpy()
    return found


IDS = [1, 20, 300, 258, 4000, 7, 9]


@pytest.mark.parametrize(
    "wrong", [{"method": "odd"}, {"rank": 0}, {"length": 1}, {"dropout": 1.0}, {"method": "full", "merge": True}]
)
def test_options_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        Tuning(**wrong)


@extras
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # of peft's, in this test's own call
def test_an_adapter_is_the_same_beside_the_model_merged_and_in_llama_cpp(data: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = guide().parent
    beside = finetune(base, [data], tmp_path / "beside", Tuning(**QUICK), as_gguf=adapter.convert)
    assert beside.outcome.state.losses[-1] < 0.5 < beside.outcome.state.losses[0]
    assert beside.trained < beside.parameters / 10
    assert not states(tmp_path / "beside").exists()
    finetune(base, [data], tmp_path / "merged", Tuning(**QUICK, merge=True))
    plain = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
    before = logits(plain, IDS)
    adapted = logits(PeftModel.from_pretrained(plain, str(tmp_path / "beside")), IDS)
    whole = logits(AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype="float32"), IDS)
    native = in_llama_cpp(base, tmp_path / "beside/adapter.gguf")
    print(
        f"changed by {np.abs(adapted - before).max():.2f}",
        np.abs(adapted - whole).max(),
        np.abs(native - adapted).max(),
    )
    assert np.abs(adapted - before).max() > 1
    assert np.abs(adapted - whole).max() < 0.1  # the merged weights are kept in the guide's own bfloat16
    assert np.abs(native - adapted).max() < 1e-3
    told = manifest.load(tmp_path / "beside")
    assert not manifest.changed(told, tmp_path / "beside")
    assert told.recipe["steps"][-1]["data"] == {"data.jsonl": manifest.digest(data)}  # type: ignore[index]


def in_llama_cpp(base: Path, beside: Path) -> np.ndarray:
    whole = convert.convert(base, beside.with_name("base.gguf"), 32).path
    with Model(whole) as model, Context(model, 64, threads=1, kv_type="f32", flash="off") as context:
        context.adapt([(model.adapter(beside), 1.0)])
        found = context.compute(IDS, everything=True).astype(np.float64)
    whole.unlink()
    found -= found.max(-1, keepdims=True)
    return found - np.log(np.exp(found).sum(-1, keepdims=True))


@extras
def test_all_weights_learn_by_heart(data: Path, tmp_path: Path) -> None:
    made = finetune(guide().parent, [data], tmp_path / "full", Tuning(method="full", steps=15, rate=1e-3))
    assert made.outcome.state.losses[-1] < 0.2
    assert made.trained == made.parameters
    assert (tmp_path / "full/tokenizer.json").read_bytes() == (guide().parent / "tokenizer.json").read_bytes()


@extras
@pytest.mark.filterwarnings("ignore")  # of bitsandbytes
def test_beside_four_bits_it_learns_on_after_it_was_measured(data: Path, tmp_path: Path) -> None:
    """On a processor bitsandbytes lets no gradient through once it has computed in evaluation mode."""
    pytest.importorskip("bitsandbytes")
    options = Tuning(method="qlora", **QUICK, heldout=data, look_every=5)
    made = finetune(guide().parent, [data], tmp_path / "made", options)
    looks = [loss for _, loss in made.outcome.state.looks]
    assert looks[-1] < looks[1] / 2 < looks[0] / 4
    assert "bitsandbytes" in libraries(made.manifest)


@extras
@pytest.mark.filterwarnings("ignore")  # of torchao
@pytest.mark.parametrize("base", ["int8", "int4"])
def test_beside_weights_of_torchao_it_learns_and_is_merged(base: str, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torchao")
    options = Tuning(method="qlora", base=base, steps=8, rate=3e-3, batch=4, merge=True)
    made = finetune(guide().parent, [data], tmp_path / "made", options)
    assert made.outcome.state.losses[-1] < made.outcome.state.losses[0] / 1.5
    assert "torchao" in libraries(made.manifest)
    assert (tmp_path / "made" / "model.safetensors").stat().st_size > 11_000_000  # as the parent keeps it


@extras
def test_what_bases_need_is_told(data: Path, tmp_path: Path) -> None:
    import torch

    with pytest.raises(SettingError, match="method qlora"):
        Tuning(base="int8")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceUnavailable, match="base int8 needs none"):
            finetune(guide().parent, [data], tmp_path / "made", Tuning(method="qlora", base="bnb8"))


def command(base: Path, data: Path, output: Path, *more: str) -> list[str]:
    given = ["--steps", "30", "--rate", "0.01", "--rank", "4", "--dropout", "0.1", "--save-every", "3", "--json", "-q"]
    return [
        sys.executable,
        "-m",
        "penjing",
        "finetune",
        str(base),
        "--data",
        str(data),
        "-o",
        str(output),
        *given,
        *more,
    ]


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    found: dict[str, Any] = load_file(folder / "adapter_model.safetensors")
    return found


@extras
def test_killed_and_resumed_it_has_the_same_weights(base: Path, data: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PENJING_HOME": str(tmp_path / "home")}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(base, data, whole), env=environment, check=True, capture_output=True)
    child = subprocess.Popen(command(base, data, killed), env=environment, stdout=subprocess.DEVNULL)
    while len(list(states(killed).glob("step-*.pt"))) < 2:
        assert child.poll() is None, "it was done before it could be killed"
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not killed.exists()
    again = subprocess.run(command(base, data, killed), env=environment, capture_output=True, text=True)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    done = subprocess.run(command(base, data, killed, "--resume"), env=environment, check=True, capture_output=True)
    assert json.loads(done.stdout)["steps"] == 30
    one, other = weights(whole), weights(killed)
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert not states(killed).exists()


@extras
def test_ctrl_c_keeps_what_was_learned(base: Path, data: Path, tmp_path: Path) -> None:
    def stop(progress: Any) -> None:
        if progress.stage == "training" and progress.fraction > 0.3:
            raise KeyboardInterrupt

    output = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        finetune(base, [data], output, Tuning(**QUICK), report=stop)
    assert not output.exists()
    with pytest.raises(Unfinished):
        finetune(base, [data], output, Tuning(**QUICK))
    with pytest.raises(AnotherRun, match="rank"):
        finetune(base, [data], output, Tuning(**{**QUICK, "rank": 2}), resume=True)
    assert finetune(base, [data], output, Tuning(**QUICK), resume=True).outcome.state.step == 20
    with pytest.raises(OutputTaken):
        finetune(base, [data], output, Tuning(**QUICK))


@extras
def test_what_cannot_be_learned_is_told(base: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(TooLong):
        finetune(base, [data], tmp_path / "out", Tuning(length=8))
    with pytest.raises(NoSuchTarget, match="c_attn"):
        finetune(base, [data], tmp_path / "out", Tuning(targets="c_attn"))
    assert not (tmp_path / "out").exists()
