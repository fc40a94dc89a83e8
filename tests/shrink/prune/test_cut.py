"""What stays of a cut model computes what the whole computes with the other parts silenced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from penjing.shrink.prune.anatomy import Anatomy
    from penjing.shrink.prune.cut import Kept

pytestmark = pytest.mark.extras
KINDS = {
    "llama": "llama-3",
    "mistral": "mistral",
    "qwen2": "qwen-2",
    "qwen3": "qwen-3",
    "gemma2": "gemma-2",
    "gemma3_text": "gemma-3",
    "phi3": "phi-3",
    "glm": "glm",
    "glm4": "glm-4",
}
EXACT = 1e-5  # rotary angles are float32, and epsilon is shared with the norms of q and k


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    def made(sample: str) -> Path:
        from tiny_checkpoints import SAMPLES, make

        return make(SAMPLES[sample], tmp_path_factory.mktemp(sample))

    return made


def some(anatomy: Anatomy, *, layers: bool, hidden: bool) -> Kept:
    """A random part of each dimension; where attention takes turns a whole turn goes."""
    import torch

    from penjing.shrink.prune.cut import Kept

    random = torch.Generator().manual_seed(1)

    def pick(size: int, count: int) -> Any:
        return torch.randperm(size, generator=random)[:count].sort().values

    gone = range(1, 1 + anatomy.period) if layers else ()
    stays = tuple(layer for layer in range(anatomy.layers) if layer not in gone)
    every = range(anatomy.layers)
    return Kept(
        stays,
        pick(anatomy.hidden, 48) if hidden else torch.arange(anatomy.hidden),
        tuple(pick(anatomy.inner, 96) for _ in every),
        tuple(pick(anatomy.groups, 1) for _ in every),
    )


def silence(anatomy: Anatomy, kept: Kept) -> None:
    """Make zero, in the whole model, what everything that is not kept writes."""
    import torch

    from penjing.shrink.prune.anatomy import AXES, HIDDEN, spread

    def others(size: int, stays: Any) -> Any:
        mask = torch.ones(size, dtype=torch.bool)
        mask[stays] = False
        return mask

    with torch.no_grad():
        for name, values in anatomy.model.named_parameters():
            axes = AXES[anatomy.suffix(name)]
            writes = any(part in name for part in ("embed_tokens", "o_proj", "down_proj", "norm"))
            if writes and HIDDEN in axes:
                nothing = -1.0 if anatomy.shifted and "norm" in name else 0.0
                values.movedim(axes.index(HIDDEN), 0)[others(anatomy.hidden, kept.hidden)] = nothing
        for layer in range(anatomy.layers):
            heads, down = anatomy.parts(layer)
            if layer in kept.layers:
                queries = spread(kept.groups[layer], anatomy.sharing * anatomy.head)
                heads.weight[:, others(heads.weight.shape[1], queries)] = 0
                down.weight[:, others(anatomy.inner, kept.inner[layer])] = 0
            else:
                heads.weight.zero_()
                down.weight.zero_()


@pytest.mark.parametrize("kind", KINDS)
def test_as_the_whole_with_the_rest_silenced(kind: str, checkpoint: Callable[[str], Path]) -> None:
    import torch

    from penjing.shrink import torch_model
    from penjing.shrink.prune.anatomy import KINDS as KNOWN
    from penjing.shrink.prune.anatomy import Anatomy
    from penjing.shrink.prune.cut import cut

    assert set(KINDS) == set(KNOWN)
    loaded = torch_model.load(checkpoint(KINDS[kind]))
    anatomy = Anatomy(loaded.model.double())
    assert loaded.model.config.model_type == kind
    kept = some(anatomy, layers=anatomy.layers > 2, hidden=True)
    made = cut(anatomy, kept)
    tokens = torch.randint(0, 500, (2, 33), generator=torch.Generator().manual_seed(2))
    silence(anatomy, kept)
    with torch.no_grad():
        wanted, found = (model(input_ids=tokens).logits for model in (loaded.model, made))
    assert float((wanted - found).abs().max()) < EXACT < float(wanted.abs().max()) / 1000
    assert anatomy.layers - len(kept.layers) in (0, anatomy.period)


def test_a_kind_that_is_not_known(checkpoint: Callable[[str], Path]) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    from penjing.shrink.prune.anatomy import Anatomy, CannotPrune

    model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=32, n_head=2, vocab_size=50))
    with pytest.raises(CannotPrune, match=r"its kind is gpt2"):
        Anatomy(model, "there")
