"""The divergence and its gradient, beside torch's own."""

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.extras

from penjing.shrink import kl as module  # noqa: E402
from penjing.shrink.kl import kl  # noqa: E402


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
@pytest.mark.parametrize("reverse", [False, True])
def test_as_torch_says(temperature: float, reverse: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 4 * 50)  # seven rows in blocks of four
    torch.manual_seed(0)
    wanted, found = torch.randn(7, 50), torch.randn(7, 50, requires_grad=True)
    p, q = ((each / temperature).log_softmax(-1) for each in (wanted, found))
    first, second = (p, q) if reverse else (q, p)
    expected = torch.nn.functional.kl_div(first, second, reduction="sum", log_target=True)
    (slope,) = torch.autograd.grad(3 * expected, found)
    made = kl(wanted, found, temperature, reverse=reverse)
    torch.testing.assert_close(made, expected)
    torch.testing.assert_close(torch.autograd.grad(3 * made, found)[0], slope)


def test_alike_is_zero_and_nothing_is_wide() -> None:
    logits = torch.randn(3, 2 * module.BLOCK)  # a row that is wider than a block
    assert float(kl(logits, logits)) == pytest.approx(0, abs=1e-5)
    assert float(kl(torch.zeros(0, 5), torch.zeros(0, 5))) == 0


def test_without_gradient_none_is_made() -> None:
    found = torch.randn(2, 5, requires_grad=True)
    with torch.no_grad():
        assert not kl(torch.randn(2, 5), found).requires_grad
    wanted = torch.randn(2, 5, requires_grad=True)
    assert torch.autograd.grad(kl(wanted, found), wanted, allow_unused=True) == (None,)
