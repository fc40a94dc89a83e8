"""What a request may do: the rights of the key that let it in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from penjing.gateway.reply import Incoming

LOCAL_ONLY = b"x-penjing-local-only"
NO = (b"0", b"false", b"no")


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

    def allows(self, model: str) -> bool:
        """Whether it may ask for `model`; `models` are names or patterns (`qwen*`)."""
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)


OPEN = Grant()


def stays(incoming: Incoming) -> bool:
    """Whether a request says of itself that it must not leave. What cannot be understood is taken for a yes."""
    return LOCAL_ONLY in incoming.headers and incoming.headers[LOCAL_ONLY].strip().lower() not in NO


def kept(grant: Grant, incoming: Incoming) -> Grant:
    """`grant`, with what the request says of itself."""
    return replace(grant, local_only=True) if stays(incoming) else grant
