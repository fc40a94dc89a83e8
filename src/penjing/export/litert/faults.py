"""Why something is not exported for LiteRT, or does not run there.

    ModelError
    └── LiteRTRefuses

Does not know: LiteRT.
"""

from __future__ import annotations

from penjing.errors import ModelError


class LiteRTRefuses(ModelError):
    """Facts: `path`, `detail` (LiteRT's own words)."""

    template = "LiteRT does not take {path}: {detail}"
    hint = "Export it again with the versions that penjing was tested with: pip install -U 'penjing[litert]'"
    code = "litert_refuses"
