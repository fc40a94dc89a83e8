"""The network against transformers' Llama, and its masks."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from recipes.guide.model import Guide, Shape, attend  # noqa: E402

pytestmark = pytest.mark.extras
SHAPE = Shape(vocab=300, hidden=256, ffn=512, layers=2, context=128)


@pytest.fixture(scope="module")
def model() -> Guide:
    torch.manual_seed(0)
    return Guide(SHAPE).eval()


def test_logits_are_those_of_transformers(model: Guide) -> None:
    config = transformers.LlamaConfig(**SHAPE.huggingface(bos=0, eos=1, pad=0))
    config._attn_implementation = "eager"
    theirs = transformers.LlamaForCausalLM(config).eval().float()
    theirs.load_state_dict({**model.state_dict(), "lm_head.weight": model.model.embed_tokens.weight})
    tokens = torch.randint(0, SHAPE.vocab, (2, 40))
    with torch.no_grad():
        assert torch.allclose(model(tokens), theirs(tokens).logits, atol=1e-4)


def test_written_out_attention_is_the_fused_one() -> None:
    q, k, v = torch.randn(3, 2, 4, 32, 64)
    mask = torch.ones(32, 32, dtype=torch.bool).tril().expand(2, 1, 32, 32)
    fused = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(attend(q, k, v, mask), fused, atol=1e-5)


def test_documents_in_a_row_do_not_see_each_other(model: Guide) -> None:
    pytest.importorskip("tokenizers")
    from recipes.guide.run import block_causal

    first, second = torch.randint(0, SHAPE.vocab, (2, 10))
    documents = torch.tensor([[0] * 10 + [1] * 10])
    positions = torch.cat([torch.arange(10), torch.arange(10)])[None]
    with torch.no_grad():
        packed = model.head(model.model(torch.cat([first, second])[None], positions, block_causal(documents)))
        assert torch.allclose(packed[0, 10:], model(second[None])[0], atol=1e-5)


def test_a_later_token_changes_nothing_before_it(model: Guide) -> None:
    tokens = torch.randint(0, SHAPE.vocab, (1, 20))
    changed = tokens.clone()
    changed[0, -1] = (tokens[0, -1] + 1) % SHAPE.vocab
    with torch.no_grad():
        assert torch.equal(model(tokens)[0, :-1], model(changed)[0, :-1])
