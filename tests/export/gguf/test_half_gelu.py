"""Why a GGUF in float32 of a model with GELU is a little beyond the limit: llama.cpp looks GELU up in half precision
(`GGML_GELU_FP16` in ggml-cpu/vec.h). Penjing's decoder with the same GELU is as far from itself."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.extras,
    pytest.mark.filterwarnings("ignore"),  # of torch, transformers and swig, not ours
]
torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sentencepiece")

from tiny_checkpoints import SAMPLES, make  # noqa: E402

from penjing.export.check import Measured, compare  # noqa: E402
from penjing.export.gguf.target import Gguf  # noqa: E402
from penjing.export.original import original  # noqa: E402
from penjing.export.prompts import encoder, prompts  # noqa: E402
from penjing.export.target import Options, Runtime  # noqa: E402

GELU = torch.nn.functional.gelu


def in_half(values: torch.Tensor, approximate: str = "none") -> torch.Tensor:
    return GELU(values.half().float(), approximate=approximate).half().float()


class WithHalfGelu:
    """A runtime whose GELU rounds what goes in and what comes out."""

    def __init__(self, runtime: Runtime, patch: pytest.MonkeyPatch) -> None:
        self.runtime, self.patch = runtime, patch

    def prefill(self, ids: tuple[int, ...]) -> object:
        with self.patch.context() as changed:
            changed.setattr(torch.nn.functional, "gelu", in_half)
            return self.runtime.prefill(ids)

    def decode(self, token: int) -> object:
        with self.patch.context() as changed:
            changed.setattr(torch.nn.functional, "gelu", in_half)
            return self.runtime.decode(token)

    def close(self) -> None:
        self.runtime.close()


def test_llama_cpp_is_as_far_away_as_gelu_in_half_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, output = make(SAMPLES["gemma-3"], tmp_path / "checkpoint"), tmp_path / "gguf"
    output.mkdir()
    Gguf().write(model, output, Options("f32", starter=False))
    asked = prompts(encoder(model))

    def away(first: Runtime, second: Runtime) -> Measured:
        try:
            return compare(first, second, asked, decoded=8)[0]
        finally:
            first.close()
            second.close()

    native = away(original(model, 0), Gguf().reload(output))
    halved = away(original(model, 0), WithHalfGelu(original(model, 0), monkeypatch))
    rest = away(WithHalfGelu(original(model, 0), monkeypatch), Gguf().reload(output))
    print(native, halved, rest)
    assert native.kl == pytest.approx(halved.kl, rel=0.05)
    assert native.relative_error == pytest.approx(halved.relative_error, rel=0.5)
    assert rest.kl < 0.1 * native.kl
