"""What the engine needs beyond the light package: the extra `openvino`.

Does not know: what the packages are used for.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from penjing.errors import InputError

PACKAGE, MODULE = "openvino-genai", "openvino_genai"


class OpenVinoMissing(InputError):
    """Facts: none."""

    template = "The engine openvino is not installed here."
    hint = "pip install 'penjing[openvino]' (x86 only), or leave out: --engine openvino"
    code = "extra_missing"


def present() -> bool:
    """Whether it is installed. Nothing is imported."""
    return find_spec(MODULE) is not None


def require() -> str:
    """Its version. Raises OpenVinoMissing."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError as error:
        raise OpenVinoMissing from error
