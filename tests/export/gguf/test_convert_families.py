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
sentencepiece = pytest.importorskip("sentencepiece")

from tiny_checkpoints import PROBES, SAMPLES, SHAPE, make  # noqa: E402

from llama_engine import Engine, running  # noqa: E402
from penjing.export.gguf import convert  # noqa: E402
from penjing.probe import model as probe  # noqa: E402

LENGTHS = (1, 7, 40)
LONG = 100


@pytest.mark.parametrize("name", SAMPLES)
def test_family(name: str, tmp_path: Path) -> None:
    sample = SAMPLES[name]
    folder = make(sample, tmp_path / "checkpoint")
    target = tmp_path / "model.gguf"
    convert.convert(folder, target, 32)
    read = probe.read(target)
    assert read.vocabulary == SHAPE["vocab_size"]
    assert read.chat_template

    with running(target, read.vocabulary, sample.context) as engine:
        for text in PROBES:
            assert engine.tokenize(text, special=True) == reference_ids(folder, text), text
        lengths = (LONG,) if name == "phi-3-long-long" else LENGTHS if sample.context <= LONG else (*LENGTHS, LONG)
        worst = max(error(engine, folder, length) for length in lengths)
    print(f"{name}: max abs error {worst:.2e}")
    assert worst < sample.error


def reference_ids(folder: Path, text: str) -> list[int]:
    """What the tokenizer's own library makes of `text`: transformers, or sentencepiece (transformers 5 translates
    SentencePiece models so that a leading space counts once less than the original does)."""
    original = folder.parent / "reference.model"
    if original.is_file():
        pieces = sentencepiece.SentencePieceProcessor(str(original))
        return [pieces.bos_id(), *pieces.encode(text)]
    return list(transformers.AutoTokenizer.from_pretrained(folder)(text)["input_ids"])


def error(engine: Engine, folder: Path, length: int) -> float:
    """The largest difference of log-probabilities after a random prompt of `length` tokens; the likeliest token is
    the same. The server reports none where that token is a mark or half a letter: such a prompt is drawn again."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(folder)
    for seed in range(100):
        ids = [int(number) for number in np.random.default_rng(seed).integers(3, 500, length)]
        with torch.no_grad():
            wanted = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1).numpy()
        if readable(str(tokens.convert_ids_to_tokens(int(wanted.argmax())))):
            break
    found = engine.logprobs(ids)
    known = ~np.isnan(found)
    assert known.sum() > 600
    assert int(np.nanargmax(found)) == int(wanted.argmax())
    return float(np.abs(found - wanted)[known].max())


def readable(token: str) -> bool:
    return token.isascii() and token.isprintable() and not token.startswith(("<", "["))
