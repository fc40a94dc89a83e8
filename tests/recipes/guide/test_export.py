"""The shipped files: they agree with each other, and the engine says what transformers says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from penjing.manifest import changed, load

DATA = Path(__file__).parents[3] / "src/penjing/data/guide"
QUESTIONS = ("What is quantization?", "什么是量化？", "What is 3 + 4?")


def fields() -> dict[str, object]:
    gguf = pytest.importorskip("gguf")
    reader = gguf.GGUFReader(DATA / "guide.gguf")
    return {name: field.contents() for name, field in reader.fields.items()}


def test_the_manifest_describes_the_files() -> None:
    assert changed(load(DATA), DATA) == []


def test_gguf_agrees_with_the_configuration() -> None:
    found, config = fields(), json.loads((DATA / "config.json").read_text(encoding="utf-8"))
    assert found["general.architecture"] == "llama"
    assert found["llama.block_count"] == config["num_hidden_layers"]
    assert found["llama.embedding_length"] == config["hidden_size"]
    assert found["llama.attention.head_count_kv"] == config["num_key_value_heads"]
    assert found["llama.context_length"] == config["max_position_embeddings"]
    assert config["hidden_size"] % 256 == config["intermediate_size"] % 256 == 0


def test_gguf_holds_the_tokenizer_and_the_template() -> None:
    found = fields()
    content = json.loads((DATA / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = {**content["model"]["vocab"], **{t["content"]: t["id"] for t in content["added_tokens"]}}
    assert found["tokenizer.ggml.tokens"] == sorted(vocabulary, key=vocabulary.__getitem__)
    assert found["tokenizer.ggml.pre"] == "qwen2"
    assert found["tokenizer.ggml.eos_token_id"] == vocabulary["<|im_end|>"]
    assert found["tokenizer.chat_template"] == (DATA / "chat_template.jinja").read_text(encoding="utf-8")


def test_permute_puts_rotary_pairs_side_by_side() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    from recipes.guide.export import permute

    rows = np.arange(8, dtype=np.float32).reshape(8, 1)  # two heads of four rows
    assert permute(rows, 2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.extras
def test_the_engine_says_what_transformers_says() -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from recipes.guide.evaluate import running

    tokenizer = transformers.AutoTokenizer.from_pretrained(DATA)
    model = transformers.AutoModelForCausalLM.from_pretrained(DATA, dtype=torch.float32)
    with running(DATA / "guide.gguf", slots=1) as engine:
        for question in QUESTIONS:
            messages = [{"role": "user", "content": question}]
            prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False).input_ids
            said = model.generate(ids, max_new_tokens=60, do_sample=False)[0, ids.shape[1] :]
            assert engine.answer(messages) == tokenizer.decode(said, skip_special_tokens=True)
            top = engine.post("/completion", {"prompt": prompt, "n_predict": 1, "temperature": 0, "n_probs": 5})
            with torch.no_grad():
                expected = model(ids).logits[0, -1].log_softmax(-1)
            best = top["completion_probabilities"][0]["top_logprobs"][0]
            assert best["logprob"] == pytest.approx(float(expected[best["id"]]), abs=0.05)
