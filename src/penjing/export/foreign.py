"""What goes wrong inside somebody else's converter, as an error of ours.

Does not know: any converter.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penjing.errors import ModelError, PenjingError

LONGEST = 300
"""Characters of a converter's words."""


class ConverterFailed(ModelError):
    """Facts: `path`, `target`, `detail` (the converter's own words)."""

    template = "The converter for {target} failed with {path}: {detail}"
    hint = "Another --precision may work. Please tell penjing's makers, with the versions of torch and the converter."
    code = "converter_failed"


@contextmanager
def translated(target: str, model: Path) -> Iterator[None]:
    """Raises ConverterFailed for what the block raises, but for errors of penjing, of disks and of memory."""
    try:
        yield
    except (PenjingError, OSError, MemoryError):
        raise
    except Exception as error:  # converters are dozens of passes, each of which raises what it likes
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConverterFailed(path=str(model), target=target, detail=words[:LONGEST]) from error
