"""What running `penjing` as its own process gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """A command that ended: exit status, stdout, stderr."""

    status: int
    out: str
    err: str


Shell = Callable[..., Done]
