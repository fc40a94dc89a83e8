"""Why something is not exported for LiteRT, or does not run there.

    ModelError
    └── LiteRTRefuses
    ModelUnsupported
    └── NoBlocks

Does not know: LiteRT.
"""

from __future__ import annotations

from penjing.errors import ModelError, ModelUnsupported


class LiteRTRefuses(ModelError):
    """Facts: `path`, `detail` (LiteRT's own words)."""

    template = "LiteRT does not take {path}: {detail}"
    hint = "Export it again with the versions that penjing was tested with: pip install -U 'penjing[litert]'"
    code = "litert_refuses"


class NoBlocks(ModelUnsupported):
    """Facts: `path`, `widths`, `block`."""

    template = "{path} has matrices {widths} wide, and int4 needs rows of whole blocks of {block} weights."
    hint = "Export it as int8: --precision int8"
