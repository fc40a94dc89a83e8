"""What a request may do: the rights of the key that let it in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Grant:
    """`name` names the key, never the key itself; "" when the gateway is open. None and () mean no limit.

    Requests and tokens are per minute, `concurrency` is requests at once, `monthly_budget` is in the currency of the
    configured prices. `local_only`: what this key sends never leaves hardware of the house.
    """

    name: str = ""
    models: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    monthly_budget: float | None = None
    local_only: bool = False
    priority: int = 0
    """Higher goes first."""


OPEN = Grant()
