"""How often and how long a source is waited for.

Does not know: HTTP clients.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

RATE_LIMIT = re.compile(r";\s*t=(\d+)")


@dataclass(frozen=True)
class Patience:
    """`attempts` in all. Seconds: `first` pause, doubled each time up to `most`; `longest` that a server may ask to
    wait before it is given up; `connect` for a connection; `silence` between two bytes; `jitter` added at random, so
    that many machines do not come back at once."""

    attempts: int = 6
    first: float = 0.5
    most: float = 20.0
    longest: float = 120.0
    connect: float = 15.0
    silence: float = 30.0
    jitter: float = 0.25

    def pause(self, failures: int) -> float:
        """Seconds before the next attempt after so many failures.

        >>> [Patience().pause(failures) for failures in (1, 2, 3, 9)]
        [0.5, 1.0, 2.0, 20.0]
        """
        return min(self.first * 2.0 ** (failures - 1), self.most)


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds a server asks for: `Retry-After` (RFC 9110, 10.2.3: seconds or a date), else the `t` of `RateLimit`
    (draft-ietf-httpapi-ratelimit-headers, which Hugging Face sends)."""
    after = headers.get("Retry-After", "").strip()
    if after.isdecimal():
        return float(min(int(after), 1 << 31))
    if after:
        try:
            then = parsedate_to_datetime(after)
        except ValueError:  # neither a number nor a date
            return None
        if then.tzinfo is None:
            then = then.replace(tzinfo=timezone.utc)
        return max(0.0, (then - datetime.now(timezone.utc)).total_seconds())
    found = RATE_LIMIT.search(headers.get("RateLimit", ""))
    return float(found[1]) if found else None
