"""The parent of an export as a `Runtime`: what its checkpoint computes in float32.

Families that have a decoder here are computed by it (it is equal to transformers, which a test shows), others by
transformers itself.

Does not know: exports.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penjing.export.decoder.faults import NoDecoder
from penjing.export.decoder.shape import read as read_shape
from penjing.export.target import Runtime

if TYPE_CHECKING:
    from penjing.export.decoder.model import Decoder


def original(folder: Path, context: int) -> Runtime:
    """The checkpoint in `folder`, as it answers within `context` tokens. Raises ShrinkExtraMissing, ModelError."""
    from penjing.shrink.extra import require

    require("torch")
    try:
        read_shape(folder)
    except NoDecoder:
        return Transformers(folder)
    from penjing.export.decoder import weights

    return Decoded(weights.load(folder, context))


class Decoded:
    """Computed by penjing's decoder."""

    def __init__(self, decoder: Decoder) -> None:
        from penjing.export.decoder.cache import Growing

        self._form: Any = Growing(decoder)
        self._cache: Any = None
        self._read = 0

    def prefill(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """float32 [len(ids), vocabulary]."""
        self._cache, self._read = self._form.empty(), 0
        return self._step(ids)

    def decode(self, token: int) -> NDArray[np.float32]:
        """float32 [vocabulary]."""
        found: NDArray[np.float32] = self._step([token])[0]
        return found

    def close(self) -> None:
        """Free it."""
        self._form = self._cache = None

    def _step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        import torch

        positions = torch.arange(self._read, self._read + len(ids))
        with torch.no_grad():
            logits, *self._cache = self._form(torch.tensor([list(ids)]), positions, *self._cache)
        self._read += len(ids)
        found: NDArray[np.float32] = logits[0].numpy()
        return found


class Transformers:
    """Computed by transformers."""

    def __init__(self, folder: Path) -> None:
        from penjing.shrink.torch_model import load

        self._model: Any = load(folder).model
        self._cache: Any = None

    def prefill(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """float32 [len(ids), vocabulary]."""
        self._cache = None
        return self._step(ids)

    def decode(self, token: int) -> NDArray[np.float32]:
        """float32 [vocabulary]."""
        found: NDArray[np.float32] = self._step([token])[0]
        return found

    def close(self) -> None:
        """Free it."""
        self._model = self._cache = None

    def _step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        import torch

        with torch.no_grad():
            made = self._model(torch.tensor([list(ids)]), past_key_values=self._cache, use_cache=True)
        self._cache = made.past_key_values
        found: NDArray[np.float32] = made.logits[0].float().numpy()
        return found
