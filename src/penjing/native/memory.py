"""The KV cache of a context, by sequences: what is removed, copied, moved, saved.

Does not know: which tokens are where; who computed them must.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from penjing.native import log
from penjing.native.calls import call
from penjing.native.faults import DecodeFailed, WrongUse

if TYPE_CHECKING:
    from penjing.native.context import Context

END = -1
"""llama.h: as far as the sequence goes."""


class Memory:
    """The memory at `address` of `context`. All functions raise WrongUse for sequences that there are not."""

    def __init__(self, context: Context, address: int, unified: bool) -> None:
        self._context, self._address, self.unified = context, address, unified

    def _check(self, *sequences: int) -> None:
        for sequence in sequences:
            if not 0 <= sequence < self._context.sequences:
                raise WrongUse(detail=f"sequence {sequence} among {self._context.sequences}")

    def clear(self) -> None:
        """All sequences are empty."""
        with self._context.alone():
            call("llama_memory_clear")(self._address, False)

    def remove(self, sequence: int, start: int = 0, end: int = END) -> bool:
        """Forget positions `start` to before `end` of `sequence`. False where the model cannot forget a part (it keeps
        a state, or a window has passed): then nothing is forgotten; a whole sequence always can be."""
        self._check(sequence)
        with self._context.alone():
            return bool(call("llama_memory_seq_rm")(self._address, sequence, start, end))

    def copy(self, source: int, target: int, start: int = 0, end: int = END) -> None:
        """Positions `start` to before `end` of `source` belong to `target` too; in a unified cache this takes no
        memory. Raises WrongUse for a part of a sequence in a cache that is not unified."""
        self._check(source, target)
        if not self.unified and (start > 0 or end != END):
            raise WrongUse(detail="a part of a sequence, in a cache where each sequence has its own")
        with self._context.alone():
            call("llama_memory_seq_cp")(self._address, source, target, start, end)

    def keep(self, sequence: int) -> None:
        """Forget all others."""
        self._check(sequence)
        with self._context.alone():
            call("llama_memory_seq_keep")(self._address, sequence)

    def shift(self, sequence: int, start: int, end: int, by: int) -> None:
        """Move positions `start` to before `end` by `by`. Raises WrongUse where the model cannot (`shiftable`)."""
        self._check(sequence)
        if not self.shiftable:
            raise WrongUse(detail="the positions of this model cannot be moved")
        if start + by < 0:
            raise WrongUse(detail=f"position {start + by}")
        with self._context.alone():
            call("llama_memory_seq_add")(self._address, sequence, start, end, by)

    @property
    def shiftable(self) -> bool:
        """Whether positions can be moved."""
        with self._context.alone():
            return bool(call("llama_memory_can_shift")(self._address))

    def first(self, sequence: int) -> int:
        """The smallest position held of `sequence`; -1 where it is empty. More than 0 where a window has passed."""
        self._check(sequence)
        with self._context.alone():
            return int(call("llama_memory_seq_pos_min")(self._address, sequence))

    def last(self, sequence: int) -> int:
        """The largest position held of `sequence`; -1 where it is empty."""
        self._check(sequence)
        with self._context.alone():
            return int(call("llama_memory_seq_pos_max")(self._address, sequence))

    def save(self, sequence: int) -> NDArray[np.uint8]:
        """What is held of `sequence`, as bytes u8 [n] for `load` into a context with the same model and KV types."""
        self._check(sequence)
        with self._context.alone() as address:
            held = np.empty(int(call("llama_state_seq_get_size")(address, sequence)), np.uint8)
            size = call("llama_state_seq_get_data")(address, held.ctypes.data, held.nbytes, sequence)
            if size != held.nbytes:
                raise DecodeFailed(detail=f"{size} bytes of {held.nbytes} were saved")
            return held

    def load(self, sequence: int, held: NDArray[np.uint8]) -> None:
        """Put what `save` gave into `sequence`, in place of what it had. The library believes these bytes: check that
        they are whole. Raises DecodeFailed where they do not fit this model, or the cache has no room; the sequence is
        empty then."""
        self._check(sequence)
        with self._context.alone() as address:
            log.forget()
            call("llama_memory_seq_rm")(self._address, sequence, 0, END)
            if not call("llama_state_seq_set_data")(address, held.ctypes.data, held.nbytes, sequence):
                call("llama_memory_seq_rm")(self._address, sequence, 0, END)
                raise DecodeFailed(detail=log.complaint())
