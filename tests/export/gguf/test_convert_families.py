"""Each family in its true format: llama.cpp's numbers and tokens on our file against transformers' in fp32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytestmark = [
    pytest.mark.extras,
    pytest.mark.filterwarnings("ignore"),  # of torch, transformers and swig, not ours
]
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from checkpoints import PROBES, SAMPLES, SHAPE, make  # noqa: E402
from engine import running  # noqa: E402

from penjing.export.gguf import convert  # noqa: E402
from penjing.probe import model as probe  # noqa: E402

# llama.cpp sums in another order than torch; a wrong permutation or factor is off by whole units.
LARGEST_ERROR = 0.02
LENGTHS = (1, 7, 40)


@pytest.mark.parametrize("name", SAMPLES)
def test_family(name: str, tmp_path: Path) -> None:
    sample = SAMPLES[name]
    folder = make(sample, tmp_path / "checkpoint")
    target = tmp_path / "model.gguf"
    convert.convert(folder, target, 32)
    read = probe.read(target)
    assert read.vocabulary == SHAPE["vocab_size"]
    assert read.chat_template

    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    lengths = (*LENGTHS, 100) if sample.context > 100 else LENGTHS
    ids = [int(number) for number in np.random.default_rng(0).integers(3, 500, max(lengths))]
    worst = 0.0
    with running(target, read.vocabulary, sample.context) as engine, torch.no_grad():
        for length in lengths if name != "phi-3-long-long" else (100,):
            wanted = model(torch.tensor([ids[:length]])).logits[0, -1].log_softmax(-1).numpy()
            found = engine.logprobs(ids[:length])
            known = ~np.isnan(found)
            assert known.sum() > 600
            assert int(np.nanargmax(found)) == int(wanted.argmax())
            worst = max(worst, float(np.abs(found - wanted)[known].max()))
        for text in PROBES:
            assert engine.tokenize(text, special=True) == tokenizer(text)["input_ids"], text
    print(f"{name}: max abs error {worst:.2e}")
    assert worst < LARGEST_ERROR
