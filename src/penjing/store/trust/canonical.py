"""The one way to write a JSON value as bytes: RFC 8785 (JSON Canonicalization Scheme).

Members sorted by the UTF-16 code units of their names, no white space, strings in UTF-8 with the shortest escapes,
numbers as ECMAScript prints them. What is the same value is the same bytes, in every language that signs or checks.

Does not know: what is signed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

LARGEST = (1 << 53) - 1
"""Whole numbers beyond are not exact in every reader of JSON (RFC 8259, section 6)."""
DECIMAL_FROM, DECIMAL_TO = -6, 21
"""Where ECMAScript changes to an exponent (Number::toString)."""


class NoCanonicalForm(ValueError):
    """A value that JSON cannot hold exactly."""


def canonical(value: object) -> bytes:
    """`value` (None, bool, int, float, str, sequences, mappings with text keys) as its canonical bytes. Raises
    NoCanonicalForm for anything else, for numbers JSON has not, and for text that is not Unicode.

    >>> canonical({"b": [1.0, 2.5, 1e-7], "a": "é"})
    b'{"a":"\\xc3\\xa9","b":[1,2.5,1e-7]}'
    """
    try:
        return _text(value).encode("utf-8")
    except UnicodeEncodeError as error:  # half of a surrogate pair
        raise NoCanonicalForm(f"not Unicode: {error.object[error.start : error.end]!r}") from error


def _text(value: object) -> str:
    if value is None or isinstance(value, (bool, str)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        if abs(value) > LARGEST:
            raise NoCanonicalForm(f"{value} is beyond 2^53 - 1")
        return str(int(value))
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_text(name)}:{_text(value[name])}" for name in _sorted(value)) + "}"
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return "[" + ",".join(map(_text, value)) + "]"
    raise NoCanonicalForm(f"{type(value).__name__} is no JSON")


def _sorted(value: Mapping[object, object]) -> list[str]:
    names = list(value)
    wrong = next((name for name in names if not isinstance(name, str)), None)
    if wrong is not None:
        raise NoCanonicalForm(f"the name {wrong!r} is no text")
    return sorted((str(name) for name in names), key=lambda name: name.encode("utf-16-be", "surrogatepass"))


def _number(value: float) -> str:
    """As ECMAScript's Number::toString: Python's shortest digits, placed by its rules."""
    if not math.isfinite(value):
        raise NoCanonicalForm(f"{value} is no JSON number")
    if value == 0:
        return "0"
    _, raw, exponent = Decimal(repr(abs(value))).as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, raw)).lstrip("0")
    point = len(digits) + exponent  # where the decimal point is, counted from the first digit
    digits = digits.rstrip("0")
    minus = "-" if value < 0 else ""
    if len(digits) <= point <= DECIMAL_TO:
        return minus + digits + "0" * (point - len(digits))
    if 0 < point <= DECIMAL_TO:
        return f"{minus}{digits[:point]}.{digits[point:]}"
    if DECIMAL_FROM < point <= 0:
        return f"{minus}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{minus}{digits[0]}{rest}e{point - 1:+d}"
