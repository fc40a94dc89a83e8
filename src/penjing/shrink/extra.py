"""What training and pruning need beyond the light package: the extra `shrink`.

Does not know: what the packages are used for.
"""

from __future__ import annotations

from importlib.util import find_spec

from penjing.errors import InputError
from penjing.native import spin

TORCH = ("torch", "transformers", "safetensors")


class ShrinkExtraMissing(InputError):
    """Facts: `detail` (the names of packages)."""

    template = "This needs packages that are not installed here ({detail})."
    hint = "pip install 'penjing[shrink]'"
    code = "extra_missing"


def require(*names: str) -> None:
    """Raises ShrinkExtraMissing where one of the packages (default: torch and what loads checkpoints) is not here.
    Nothing is imported; where torch is going to be, its threads are kept from spinning (`native.spin`)."""
    names = names or TORCH
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ShrinkExtraMissing(detail=", ".join(missing))
    if "torch" in names:
        spin.stay_bound()
