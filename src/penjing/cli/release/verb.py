"""The verb `release`: which version of a model is out, which one is tried, and how that goes."""

from __future__ import annotations

from penjing.cli.family import family
from penjing.cli.release.moving import canary, pin, promote, rollback
from penjing.cli.release.status import status

release = family(
    "release",
    "Let versions of a model out, try them first, take them back.",
    (status, canary, promote, rollback, pin),
    (
        ("penjing release canary qwen3@4 --share 10%", "Try a version with a tenth of the conversations."),
        ("penjing release status qwen3", "How far is that?"),
        ("penjing release rollback qwen3", "Back to what was before."),
    ),
)
