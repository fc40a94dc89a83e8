"""`penjing probe MODEL`: what a header says, here and elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model_hub import Hub, Repository, serving
from penjing.cli import header
from penjing.probe.facts import Model
from penjing.probe.tensor import Tensor
from shells import Shell


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving({}) as running:
        yield running


def test_one_elsewhere_is_what_it_is_here(shell: Shell, hub: Hub, tiny: Path) -> None:
    hub.repositories["o/r"] = Repository({"tiny.gguf": tiny.read_bytes()})
    here = json.loads(shell("probe", str(tiny), "--json").out)
    done = shell("probe", "hf:o/r", "--json", HF_ENDPOINT=hub.url)
    there = json.loads(done.out)
    assert {name for name in here if here[name] != there[name]} == {"path", "files"}
    assert there["path"] == "o/r/tiny.gguf"


def test_without_a_network_it_says_so(shell: Shell) -> None:
    done = shell("probe", "hf:o/r", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.status not in (0, 1)
    assert "cannot be reached" in done.err


def test_a_server_is_no_model(shell: Shell) -> None:
    assert "is a server" in shell("probe", "http://127.0.0.1:9").err


def test_a_name_nobody_knows(shell: Shell) -> None:
    assert shell("probe", "no-such-model").status not in (0, 1)


def model(**facts: object) -> Model:
    metadata = {"deepseek2.attention.kv_lora_rank": 512, "deepseek2.rope.dimension_count": 64}
    metadata |= {"deepseek2.attention.key_length_mla": 192, "qwen3moe.expert_used_count": 8}
    known: dict[str, Any] = {
        "layers": 6,
        "heads": 16,
        "kv_heads": 1,
        "key_length": 64,
        "value_length": 64,
        "metadata": metadata,
    }
    return Model(Path("m.gguf"), "gguf", **{"architecture": "llama", **known, **facts})


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({"architecture": "gemma3", "sliding_window": 512}, ("sliding window", "5 of 6 layers see 512 tokens")),
        ({"architecture": "deepseek2"}, ("latent attention", "576 numbers a token and layer (MLA)")),
        ({"architecture": "qwen3moe", "experts": 128}, ("experts", "128, of which a token uses 8")),
        ({"architecture": "rwkv7", "embedding": 64}, ("recurrent state", "6 of 6 layers keep")),
    ],
)
def test_what_is_special_has_a_row(facts: dict[str, object], wanted: tuple[str, str]) -> None:
    rows = dict(header.rows(model(**facts)))
    assert rows[wanted[0]].startswith(wanted[1])
    special = {"sliding window", "latent attention", "experts", "recurrent state"}
    assert special & set(rows) == {wanted[0]}


def test_types_by_their_share() -> None:
    sizes = {"F32": 1, "Q4_K": 700, "Q6_K": 299}
    tensors = tuple(Tensor(kind, (size,), kind, 0, size) for kind, size in sizes.items())
    assert header.types(model(tensors=tensors)) == "Q4_K 70 %, Q6_K 30 %, F32 0.10 %"
