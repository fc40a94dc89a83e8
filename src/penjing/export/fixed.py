"""What exports with a cache of fixed size share.

Does not know: runtimes.
"""

from __future__ import annotations

from penjing.errors import ContextOverflow


class ContextFull(ContextOverflow):
    """Facts: `tokens`, `context`."""

    template = "{tokens} tokens do not fit: the export has room for {context}."
    hint = "Export it with more: --context N"
