"""Pruned checkpoints on disk: they reload, llama.cpp computes the same, their manifests say what was done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing import manifest
from penjing.errors import SettingError
from penjing.export.gguf import convert
from penjing.native.context import Context
from penjing.native.model import Model
from penjing.shrink import torch_model
from penjing.shrink.packing import Example
from penjing.shrink.prune.anatomy import Anatomy
from penjing.shrink.prune.price import CRITERIA
from penjing.shrink.prune.prune import Cutting, PruneOptions, prune
from penjing.shrink.prune.shape import RatioImpossible, Shape, parameters, shapes, whole
from penjing.shrink.prune.sparse import parsed, sparsify

extras = pytest.mark.extras
IDS = [1, 20, 300, 258, 7, 9]


@pytest.mark.parametrize(
    "wrong", [{"ratio": 0.0}, {"ratio": 1.0}, {"parts": ()}, {"parts": ("ears",)}, {"criterion": "luck"}, {"tries": 0}]
)
def test_options_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        PruneOptions(**wrong)


@pytest.mark.parametrize("pattern", ["", "2", "4:2", "0:4", "4:4", "a:b"])
def test_patterns_that_cannot_be(pattern: str) -> None:
    with pytest.raises(SettingError, match="2:4"):
        parsed(pattern)


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    from tiny_checkpoints import SAMPLES, make

    return make(SAMPLES[request.param], tmp_path / "whole")


def some(count: int = 6, length: int = 24) -> list[Example]:
    random = np.random.default_rng(0)
    return [Example.of(random.integers(3, 500, length).tolist()) for _ in range(count)]


def logits(model: Any) -> np.ndarray:
    import torch

    with torch.no_grad():
        found: np.ndarray = model(torch.tensor([IDS])).logits[0].log_softmax(-1).numpy()
    return found


def in_llama_cpp(gguf: Path) -> np.ndarray:
    with Model(gguf) as model, Context(model, 64, threads=1, kv_type="f32", flash="off") as context:
        found = context.compute(IDS, everything=True).astype(np.float64)
    found -= found.max(-1, keepdims=True)
    return found - np.log(np.exp(found).sum(-1, keepdims=True))


@extras
@pytest.mark.parametrize("folder", ["llama-3", "qwen-3", "gemma-3"], indirect=True)
@pytest.mark.filterwarnings("ignore")  # of sentencepiece's swig
def test_every_engine_loads_what_is_left(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "pruned"
    options = PruneOptions(ratio=0.25, parts=("inner", "heads", "hidden"), tries=2, multiple=16)
    done = prune(folder, output, options, some(), data={"some": "digest"})
    loaded = torch_model.load(output)
    assert loaded.parameters == done.after <= 0.75 * done.before
    assert done.tried[0].parameters == done.after
    divergences = [each.divergence for each in done.tried]
    assert None not in divergences
    assert divergences == sorted(divergences)  # type: ignore[type-var]  # none is None
    gguf = convert.convert(output, tmp_path / "pruned.gguf", 32).path
    assert np.abs(in_llama_cpp(gguf) - logits(loaded.model)).max() < 5e-3  # Gemma's GELU is a table there
    told = manifest.load(output)
    assert not manifest.changed(told, output)
    step = told.recipe["steps"][-1]  # type: ignore[index]
    assert step["data"] == {"some": "digest"}
    assert step["found"]["parameters"] == {"before": done.before, "after": done.after}


@extras
@pytest.mark.parametrize("folder", ["llama-3"], indirect=True)
def test_repair_and_criteria(folder: Path) -> None:
    """What is fitted loses less than what is only cut, however parts are judged; one seed, one model."""
    import torch

    from penjing.shrink.divergence import divergence
    from penjing.shrink.packing import looked

    loaded = torch_model.load(folder)
    anatomy = Anatomy(loaded.model)
    # every second channel repeats the one before it, so that half of them can be made up for exactly
    with torch.no_grad():
        for layer in range(anatomy.layers):
            mlp = loaded.model.model.layers[layer].mlp
            for part in (mlp.gate_proj, mlp.up_proj):
                part.weight[1::2] = part.weight[::2]
    full = whole(anatomy)
    shape = Shape(full.layers, full.hidden, anatomy.inner // 2, full.groups)
    lost: dict[tuple[str, bool], float] = {}
    for criterion in CRITERIA:
        for repair in (True, False):
            cutting = Cutting(anatomy, PruneOptions(criterion=criterion, repair=repair), some(12))
            lost[criterion, repair] = divergence(loaded.model, cutting.make(shape), looked(some(4), 8))
        assert lost[criterion, True] < lost[criterion, False]
    assert lost["curvature", True] < 0.25 * min(lost["taylor", True], lost["activation", True])
    again = Cutting(anatomy, PruneOptions(), some(12)).make(shape)
    assert divergence(loaded.model, again, looked(some(4), 8)) == lost["curvature", True]


@extras
@pytest.mark.parametrize("folder", ["gemma-3"], indirect=True)
@pytest.mark.filterwarnings("ignore")
def test_shapes_keep_to_their_budget(folder: Path) -> None:
    anatomy = Anatomy(torch_model.load(folder).model)
    full = whole(anatomy)
    total = parameters(anatomy, full)
    assert total == sum(values.numel() for values in anatomy.model.parameters())
    found = list(shapes(anatomy, 0.3, ("inner", "heads", "layers"), 16))
    assert all(parameters(anatomy, shape) <= 0.7 * total for shape in found)
    assert {len(shape.layers) for shape in found} <= {anatomy.layers, anatomy.layers - anatomy.period}
    assert all(shape.inner % 16 == 0 and shape.hidden == anatomy.hidden for shape in found)
    with pytest.raises(RatioImpossible, match="the most is"):
        list(shapes(anatomy, 0.95, ("inner",), 16))


@extras
@pytest.mark.parametrize("folder", ["llama-3"], indirect=True)
def test_two_of_every_four_stay(folder: Path, tmp_path: Path) -> None:
    made = sparsify(folder, tmp_path / "sparse", "2:4", some())
    assert made.recipe["steps"][-1]["found"] == {"matrices": 14, "left_whole": []}  # type: ignore[index]
    before, after = (torch_model.load(each).model for each in (folder, tmp_path / "sparse"))
    for old, new in zip(before.model.layers, after.model.layers, strict=True):
        one, other = old.mlp.up_proj.weight.detach(), new.mlp.up_proj.weight.detach()
        assert bool(((other.view(-1, 4) != 0).sum(1) == 2).all())
        assert bool(((other == one) | (other == 0)).all())
    assert float((after.model.embed_tokens.weight == before.model.embed_tokens.weight).float().mean()) == 1
