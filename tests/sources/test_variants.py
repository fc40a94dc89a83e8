"""Which models a list of files holds."""

from __future__ import annotations

import pytest

from penjing.sources.faults import NoSuchQuantization
from penjing.sources.names import Reference
from penjing.sources.source import Listing, RemoteFile
from penjing.sources.variants import label, pick, variants


def listed(**sizes: int) -> Listing:
    files = tuple(RemoteFile(path, size, f"https://host/{path}") for path, size in sizes.items())
    return Listing(Reference("hf", "o/r"), "c", files)


REPOSITORY = listed(
    **{
        ".gitattributes": 1,
        "README.md": 1,
        "imatrix.gguf": 5,
        "mmproj-m-bf16.gguf": 9,
        "mmproj-m-f16.gguf": 8,
        "m-Q8_0.gguf": 80,
        "m-UD-Q4_K_XL.gguf": 45,
        "m.Q4_K_M.gguf": 40,
        "BF16/m-BF16-00001-of-00002.gguf": 100,
        "BF16/m-BF16-00002-of-00002.gguf": 60,
        "m-Q2_K-00001-of-00002.gguf": 10,
        "config.json": 2,
        "model-00001-of-00002.safetensors": 90,
        "model-00002-of-00002.safetensors": 70,
        "consolidated.safetensors": 160,
        "tokenizer.json": 3,
    }
)

LABELS = {
    "Qwen3-4B-Q4_K_M.gguf": "Q4_K_M",
    "qwen2.5-0.5b-instruct-q5_k_m.gguf": "Q5_K_M",
    "Phi-3-mini-4k-instruct-fp16.gguf": "F16",
    "m.i1-IQ2_XXS.gguf": "IQ2_XXS",
    "gpt-oss-20b-mxfp4.gguf": "MXFP4",
    "UD-IQ1_S/m-UD-IQ1_S-00001-of-00004.gguf": "UD-IQ1_S",
    "Q6_K/m-00001-of-00004.gguf": "Q6_K",
    "ggml-model-Q4_0_4_4.gguf": "Q4_0_4_4",
    "bitnet-TQ2_0.gguf": "TQ2_0",
    "guide.gguf": "guide",
}


@pytest.mark.parametrize(("path", "wanted"), LABELS.items(), ids=str)
def test_labels(path: str, wanted: str) -> None:
    assert label(path) == wanted


def test_quantizations_with_their_shards_and_the_checkpoint() -> None:
    found = variants(REPOSITORY)
    assert [(variant.label, variant.bytes) for variant in found] == [
        ("Q4_K_M", 40),
        ("UD-Q4_K_XL", 45),
        ("Q8_0", 80),
        ("BF16", 160),
        ("safetensors", 160),
    ]
    assert [file.path for file in found[0].beside] == ["mmproj-m-f16.gguf"]
    assert found[0].total == 48
    assert [file.path for file in found[3].files] == [
        "BF16/m-BF16-00001-of-00002.gguf",
        "BF16/m-BF16-00002-of-00002.gguf",
    ]
    assert {file.path for file in found[4].files} == {
        *("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "config.json", "tokenizer.json"),
    }


def test_a_pick_is_a_quantization_or_a_file() -> None:
    assert pick(REPOSITORY, "q4_k_m").files[0].path == "m.Q4_K_M.gguf"
    assert pick(REPOSITORY, "Q4_K_XL").label == "UD-Q4_K_XL"
    assert pick(REPOSITORY, "m-Q8_0.gguf").label == "Q8_0"
    assert len(pick(REPOSITORY, "BF16/m-BF16-00002-of-00002.gguf").files) == 2
    assert pick(REPOSITORY, "mmproj-m-bf16.gguf").files[0].bytes == 9


def test_a_pick_that_is_not_there_names_what_is() -> None:
    with pytest.raises(NoSuchQuantization) as refused:
        pick(REPOSITORY, "Q5_K_M")
    assert refused.value.advice("en") == "It has: Q4_K_M, UD-Q4_K_XL, Q8_0, BF16, safetensors"
    twice = listed(**{"a-Q8_0.gguf": 1, "b-Q8_0.gguf": 2})
    with pytest.raises(NoSuchQuantization) as refused:
        pick(twice, "Q8_0")
    assert refused.value.advice("en") == "It has: a-Q8_0.gguf, b-Q8_0.gguf"
