"""One run at a time writes an output, and what killed ones left of it half written is removed.

Does not know: what is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penjing.errors import MachineError
from penjing.files import home
from penjing.lock import held_now
from penjing.shrink.output import sweep


class OutputBusy(MachineError):
    """Facts: `path`."""

    template = "Another penjing is writing {path}."
    hint = "Wait for it, or choose another --output."
    code = "output_busy"


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """In the block no other run that asks is writing `output`. Raises OutputBusy."""
    name = hashlib.sha256(str(output.resolve()).encode()).hexdigest()[:16]
    place = home() / "locks" / f"{name}.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    with held_now(place) as mine:
        if not mine:
            raise OutputBusy(path=str(output))
        sweep(output)
        yield
