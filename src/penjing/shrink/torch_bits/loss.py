"""What a checkpoint in few bits loses: KL(original || it) of the next token, computed by torch as a training would.

Does not know: how it was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from penjing.probe import checkpoint, machine
from penjing.shrink import packing, torch_model
from penjing.shrink.divergence import divergence
from penjing.shrink.examples import examples
from penjing.shrink.texts.text import Text
from penjing.shrink.torch_bits import stored

WINDOWS, CONTEXT = 16, 512
BYTES = 10
"""Of memory for each parameter: the original in f32, the other and what a matrix of it is in f32, activations."""


def room(source: Path) -> tuple[int, int]:
    """Bytes that measuring takes, and that are free."""
    return checkpoint.read(source).parameters * BYTES, machine.read(gpus=False).memory_available


def lost(source: Path, form: str, texts: Sequence[Text], made: Path) -> float:
    """In nats a token of `texts`, on the processor. Raises what loading raises, TextTooShort, WrongLanguage."""
    parent = torch_model.load(source)
    shown = examples(texts, parent.tokenizer, context=CONTEXT, most=WINDOWS)
    other = stored.read(made, form, "cpu")
    other.model.eval()
    return divergence(parent.model, other.model, packing.looked(shown, 1))
