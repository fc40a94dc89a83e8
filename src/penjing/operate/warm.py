"""Questions that a new engine is asked before people ask it: the prompts it will see most, so that it has read them.

Of the last questions each conversation is asked once, as long as it was last; where several begin with the same system
prompt and tools, the engine keeps that beginning. Prompts that are pinned come first of all, so that they are kept
whatever was asked lately.

Does not know: engines, connections.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
MOST = 8
"""Conversations that are read again."""
LEFT_OUT = ("stream", "stream_options", "n", "best_of", "max_completion_tokens", "logprobs", "top_logprobs", "id_slot")
"""Fields that would make more work than reading the prompt."""

Question = tuple[str, bytes]
"""A path and a body."""


def questions(recent: Iterable[Question], pinned: Sequence[str] = (), most: int = MOST) -> list[Question]:
    """What to ask: `pinned` system prompts, then of `recent` (the last one last) the latest `most` conversations, the
    latest last. Always at least one, so that an engine that cannot answer is found out."""
    kept: list[tuple[str, dict[str, Any]]] = []
    for path, body in reversed(list(recent)):
        asked = _read(path, body)
        if asked is not None and not any(_goes_on(asked, later) for known, later in kept if known == path):
            kept.append((path, asked))
        if len(kept) >= most:
            break
    first = [(CHAT, {"messages": [_message("system", text), _message("user", "Hello")]}) for text in pinned]
    found = first + kept[::-1] or [(CHAT, {"messages": [_message("user", "Hello")]})]
    return [(path, json.dumps(short(asked)).encode()) for path, asked in found]


def short(asked: dict[str, Any]) -> dict[str, Any]:
    """The same question for an answer of one token."""
    return {**{name: value for name, value in asked.items() if name not in LEFT_OUT}, "max_tokens": 1, "stream": False}


def _message(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def _read(path: str, body: bytes) -> dict[str, Any] | None:
    """The question, None for what is not answered in words."""
    if path not in (CHAT, TEXT):
        return None
    try:
        asked = json.loads(body)
    except ValueError:
        return None
    return asked if isinstance(asked, dict) else None


def _goes_on(earlier: dict[str, Any], later: dict[str, Any]) -> bool:
    """Whether `later` begins with all of `earlier`, which is then read with it."""
    if earlier.get("tools") != later.get("tools"):
        return False
    mine, theirs = (asked.get("messages", asked.get("prompt")) for asked in (earlier, later))
    if isinstance(mine, (str, list)) and isinstance(theirs, type(mine)):
        return mine == theirs[: len(mine)]
    return False
