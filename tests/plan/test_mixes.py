"""What a model would weigh: beside the published sizes of one, and beside what penjing itself makes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from penjing.plan import mixes
from penjing.plan.mixes import USUAL, gguf_names, quantized
from penjing.plan.quality import known
from penjing.probe import model as header
from penjing.probe.facts import Model
from penjing.probe.tensor import Tensor
from penjing.shrink.quantize import quantize
from planned_models import llama
from tiny_checkpoint import write_checkpoint
from tiny_model import Shape, write_tiny_gguf

LLAMA_3 = (32, 4096, 14336, 128_256, 1024)
"""Layers, width, feed-forward, vocabulary, width of the values of Llama 3 8B, of which the published sizes are."""


def llama_3_8b() -> Model:
    layers, width, feed_forward, words, values = LLAMA_3
    block = {
        "attn_q": (width, width),
        "attn_k": (values, width),
        "attn_v": (values, width),
        "attn_output": (width, width),
        "ffn_gate": (feed_forward, width),
        "ffn_up": (feed_forward, width),
        "ffn_down": (width, feed_forward),
        "attn_norm": (width,),
        "ffn_norm": (width,),
    }
    shapes = {"token_embd.weight": (words, width), "output.weight": (words, width), "output_norm.weight": (width,)}
    shapes |= {f"blk.{layer}.{name}.weight": shape for layer in range(layers) for name, shape in block.items()}
    tensors = tuple(Tensor(name, shape, "F16", 0, 1) for name, shape in shapes.items())
    parameters = sum(tensor.elements for tensor in tensors)
    facts = llama(layers, width, 32, 8, feed_forward, vocabulary=words, parameters=parameters)
    return dataclasses.replace(facts, tensors=tensors)


@pytest.mark.parametrize("label", [*USUAL, "Q5_0", "Q5_1", "Q5_K_S", "Q4_1", "IQ4_NL", "Q3_K_S", "Q3_K_L", "IQ2_M"])
def test_as_large_as_the_published_file(label: str) -> None:
    published = known(label)
    assert published is not None
    assert quantized(llama_3_8b(), label).bits_per_weight == pytest.approx(published.bits, rel=0.005)


@pytest.mark.parametrize(("bits", "label"), [(4, "Q4_K_M"), (8, "Q8_0"), (16, "F16")])
def test_the_same_types_as_what_penjing_makes(tmp_path: Path, bits: int, label: str) -> None:
    plain = write_tiny_gguf(tmp_path / "plain.gguf", Shape(layers=12, width=256, heads=4, feed_forward=512))
    made = header.read(quantize(plain, tmp_path / "small.gguf", bits).path)
    planned = quantized(header.read(plain), label)
    assert {tensor.name: tensor.type for tensor in planned.tensors} == {
        tensor.name: tensor.type for tensor in made.tensors
    }
    assert planned.bytes == made.bytes


def test_a_known_size_is_kept_to_the_byte() -> None:
    found = quantized(llama_3_8b(), "UD-Q4_K_XL", 5_000_000_000)
    assert found.bytes == 5_000_000_000
    assert sum(tensor.bytes for tensor in found.tensors) == pytest.approx(found.bytes, rel=1e-6)


def test_without_tensors_the_published_bits_count() -> None:
    found = quantized(llama(2, 64, 4, 2, 128, parameters=8_000_000_000), "Q4_K_M")
    assert found.bytes == 4_900_000_000


def test_a_checkpoint_gets_the_names_of_a_gguf(tmp_path: Path) -> None:
    model = header.read(write_checkpoint(tmp_path / "checkpoint"))
    names = {tensor.name for tensor in gguf_names(model)}
    assert "token_embd.weight" in names
    assert {"blk.0.attn_output.weight", "blk.0.ffn_down.weight", "blk.0.attn_v.weight"} <= names
    assert len(names) == len(model.tensors)


def test_experts_become_one_tensor() -> None:
    parts = [Tensor(f"model.layers.0.mlp.experts.{one}.up_proj.weight", (8, 4), "BF16", 0, 64) for one in range(3)]
    model = dataclasses.replace(llama(1, 4, 1, 1, 8), format="safetensors", tensors=tuple(parts))
    (found,) = gguf_names(model)
    assert (found.name, found.shape) == ("blk.0.ffn_up_exps.weight", (3, 8, 4))


def test_the_part_that_sees_is_no_language() -> None:
    eye = Tensor("model.visual.blocks.0.attn.qkv.weight", (8, 4), "BF16", 0, 64)
    model = dataclasses.replace(llama(1, 4, 1, 1, 8), format="safetensors", tensors=(eye,))
    assert gguf_names(model) == ()


def test_rows_that_are_no_multiple_of_a_block() -> None:
    assert mixes.choose("Q4_K_M", "blk.0.attn_q.weight", (64, 896), 24, tied=False) == "Q5_0"
    assert mixes.choose("Q4_K_M", "blk.0.attn_q.weight", (64, 30), 24, tied=False) == "F16"
