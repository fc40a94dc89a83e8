"""Amounts as people write them: `8GB`, `512 MiB`, `90s`, `10m`.

Sizes are in powers of 1000 (`GB`) or of 1024 (`GiB`); a bare number is bytes, or seconds.
"""

from __future__ import annotations

import re

from penjing.errors import InputError

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(I?)B?|B)?", re.IGNORECASE)
SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
POWERS = "KMGT"
SECONDS = {"ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class NoAmount(InputError):
    """Facts: `text`, `example`."""

    template = "'{text}' is no amount."
    hint = "Write it like this: {example}"
    code = "no_amount"


def size(text: str) -> int:
    """Bytes. Raises NoAmount.

    >>> size("8GB"), size("1.5 GiB"), size("512m"), size("100")
    (8000000000, 1610612736, 512000000, 100)
    """
    found = SIZE.fullmatch(text.strip())
    if found is None:
        raise NoAmount(text=text, example="8GB, 512MiB")
    power = POWERS.index(found[2].upper()) + 1 if found[2] else 0
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


def written(size: int) -> str:
    """The shortest text that `size` reads as so many bytes.

    >>> written(1_500_000_000), written(2048), written(1_234_567)
    ('1.5GB', '2.048KB', '1.234567MB')
    """
    for power in range(len(POWERS), 0, -1):
        if size >= 1000**power and int(float(text := f"{size / 1000**power:.12g}") * 1000**power) == size:
            return f"{text}{POWERS[power - 1]}B"
    return str(size)


def span(text: str) -> float:
    """Seconds. Raises NoAmount.

    >>> span("90"), span("10m"), span("250ms")
    (90.0, 600.0, 0.25)
    """
    found = SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise NoAmount(text=text, example="90s, 10m")
    return float(found[1]) * SECONDS[found[2] or ""]
