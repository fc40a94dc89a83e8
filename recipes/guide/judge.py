"""The yardstick's judge: does an answer hold the key, and does it refuse? Knows nothing of models or files."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from penjing.shrink.evaluate.questions import holds as holds

_CALL = re.compile(r"<tool_call>\n(.*)\n</tool_call>")
_REFUSAL = {"en": ("built-in guide", "penjing pull"), "zh": ("内置", "penjing pull")}


def passes(answer: str, key: Sequence[Sequence[str]]) -> bool:
    """Whether every group of the key has at least one alternative in the answer."""
    return all(any(holds(answer, alternative) for alternative in group) for group in key)


def is_refusal(answer: str, lang: str) -> bool:
    """Whether the answer says that this is beyond the guide and how to pull a larger model."""
    return all(marker in answer.lower() for marker in _REFUSAL[lang])


def same_call(answer: str, wanted: str) -> bool:
    """Whether an answer calls the function that `wanted` calls, with the same arguments in any order."""
    found, right = _CALL.search(answer), _CALL.search(wanted)
    try:
        return found is not None and right is not None and json.loads(found[1]) == json.loads(right[1])
    except json.JSONDecodeError:
        return False
