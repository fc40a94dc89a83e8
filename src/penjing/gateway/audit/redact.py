"""Content without what tells who somebody is: found by its form alone, so names and places stay.

E-mail addresses; telephone numbers (mainland China's mobile ones, international ones with +); Chinese identity numbers
(GB 11643, checked by their last sign); payment cards (ISO/IEC 7812, checked by Luhn's digit); keys of well-known
services and of penjing. Each becomes a word in brackets.

Does not know: where the content is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
"""GB 11643-1999: weights of an identity number's first 17 digits."""
SIGNS = "10X98765432"


def is_identity(text: str) -> bool:
    """Whether the last sign of an 18-sign number is the one that its digits call for.

    >>> is_identity("11010519491231002X"), is_identity("110105194912310021")
    (True, False)
    """
    return (
        SIGNS[sum(int(digit) * weight for digit, weight in zip(text, WEIGHTS, strict=False)) % 11] == text[17].upper()
    )


def is_card(text: str) -> bool:
    """Whether Luhn's check digit is right.

    >>> is_card("4111 1111 1111 1111"), is_card("4111 1111 1111 1112")
    (True, False)
    """
    digits = [int(sign) for sign in reversed(text) if sign.isdigit()]
    doubled = (digit if place % 2 == 0 else sum(divmod(digit * 2, 10)) for place, digit in enumerate(digits))
    return sum(doubled) % 10 == 0


PATTERNS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool] | None], ...] = (
    ("[e-mail]", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), None),
    (
        "[key]",
        re.compile(
            r"\b(?:sk|pj|pk|rk|ghp|gho|xoxb|xoxp|hf|AKIA|AIza)[-_]?[A-Za-z0-9_-]{16,}\b|(?<=Bearer )[\w.~+/-]{16,}"
        ),
        None,
    ),
    ("[identity number]", re.compile(r"(?<!\d)\d{17}[\dXx](?!\w)"), is_identity),
    ("[telephone]", re.compile(r"(?<!\d)(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)"), None),
    ("[telephone]", re.compile(r"(?<![\d+])\+\d{1,3}(?:[ ()-]{0,2}\d){6,13}(?!\d)"), None),
    ("[card number]", re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)"), is_card),
)


def redacted(text: str) -> str:
    """`text` with everything of these forms replaced."""
    for word, pattern, check in PATTERNS:
        text = pattern.sub(lambda match, word=word, check=check: _word(match[0], word, check), text)  # type: ignore[misc]  # mypy cannot infer a lambda's defaults
    return text


def _word(found: str, word: str, check: Callable[[str], bool] | None) -> str:
    return word if check is None or check(found) else found
