"""What is said without a file is what a file says."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from penjing.probe import single
from penjing.shrink.quantize.collect import collect
from penjing.shrink.quantize.importance import Importance
from penjing.shrink.quantize.judge import Judge
from penjing.shrink.quantize.mix import quantizable
from penjing.shrink.quantize.trial import InPlace
from penjing.shrink.quantize.write import quantize
from penjing.shrink.rows import NotFinite
from penjing.shrink.texts.windows import Windows
from tiny_model import Shape, write_tiny_gguf

SHAPE = Shape(layers=2, width=256, heads=4, kv_heads=2, feed_forward=512)
EXPERTS = Shape(layers=1, width=256, heads=4, kv_heads=2, feed_forward=256, experts=4)


def windows() -> Windows:
    tokens = np.random.default_rng(0).integers(0, 256, (2, 64)).astype(np.int32)
    return Windows("dice", "0" * 64, tokens, np.ones_like(tokens, np.bool_))


@pytest.mark.parametrize("shape", [SHAPE, EXPERTS], ids=["dense", "experts"])
def test_each_kind_of_tensor_loses_what_it_loses_in_a_file(shape: Shape, tmp_path: Path) -> None:
    """But for the rounding of activations. With importance and without."""
    source = write_tiny_gguf(tmp_path / "tiny.gguf", shape)
    model, text = single.read(source), windows()
    seen = collect(source, text.tokens, products=True, threads=1)
    names = [each.name for each in model.tensors if quantizable(each.name, each.shape)]
    assert any("exps" in name for name in names) == bool(shape.experts)
    with Judge(source, text, threads=1) as judge:
        for importance in (seen, Importance({})):
            with closing(InPlace(model, importance, text, 1)) as place:
                for name in names:
                    target = tmp_path / "tried.gguf"
                    quantize(source, target, {name: "Q3_K"}, importance=importance, rounds=0)
                    found = place.kl({name: "Q3_K"})
                    assert found == pytest.approx(judge.kl(target), rel=0.15), name
                    assert found > 1e-6, name


def test_nothing_changed_is_nothing_lost(tmp_path: Path) -> None:
    source = write_tiny_gguf(tmp_path / "tiny.gguf", SHAPE)
    model = single.read(source)
    with closing(InPlace(model, Importance({}), windows(), 1)) as place:
        assert place.kl({}) == 0
        assert place.kl({each.name: "F32" for each in model.tensors if len(each.shape) > 1}) < 1e-9


def test_a_damaged_weight_is_named(tmp_path: Path) -> None:
    source = write_tiny_gguf(tmp_path / "tiny.gguf", SHAPE)
    model = single.read(source)
    tensor = next(each for each in model.tensors if each.name == "blk.1.ffn_up.weight")
    with closing(InPlace(model, Importance({}), windows(), 1)) as place:
        with source.open("r+b") as stream:
            stream.seek(tensor.offset)
            stream.write(np.array([np.nan], np.float32).tobytes())
        with pytest.raises(NotFinite, match=r"blk\.1\.ffn_up"):
            place.kl({tensor.name: "Q3_K"})
