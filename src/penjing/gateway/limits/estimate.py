"""How many tokens a request may need, told before it was answered: what it has, about, and the longest answer.

Does not know: tokenizers; limits and queues compare orders of magnitude, and are set right by the real count.
"""

from __future__ import annotations

from typing import NamedTuple

from penjing.gateway.dialects.openai import wire

BYTES_PER_TOKEN = 4
"""Of English; of Chinese, three bytes a character, it makes three quarters of a token a character."""
PICTURE = 1000
"""Tokens of a picture or a sound; what models make of one is between 85 and some thousands."""
ANSWER = 512
"""Tokens of an answer whose request does not limit it."""
AROUND = 8
"""Tokens that a chat template puts around a message."""


class Estimate(NamedTuple):
    """In tokens."""

    prompt: int
    answer: int

    @property
    def total(self) -> int:
        return self.prompt + self.answer


def estimate(body: wire.AnyBody) -> Estimate:
    """For all prompts and choices of `body` together."""
    if isinstance(body, wire.Weighing):
        return Estimate(_of_prompts(body.texts), 0)
    limits = (getattr(body, "max_completion_tokens", None), body.max_tokens, body.n_predict)
    longest = next((limit for limit in limits if limit is not None and limit >= 0), ANSWER)
    answers = len(wire.prompts(body)) * (body.n or 1)
    prompt = _of_messages(body.messages) if isinstance(body, wire.ChatBody) else _of_prompts(body.prompt)
    return Estimate(prompt, longest * answers)


def _of_messages(messages: list[wire.ChatMessage]) -> int:
    tokens = 0
    for message in messages:
        tokens += AROUND
        if isinstance(message.content, str):
            tokens += _of_text(message.content)
            continue
        for part in message.content or ():
            tokens += _of_text(part.text) if isinstance(part, wire.TextPart) else PICTURE
    return tokens


def _of_prompts(prompt: str | list[str | int | list[int]]) -> int:
    if isinstance(prompt, str):
        return _of_text(prompt)
    return sum(
        1 if isinstance(each, int) else _of_text(each) if isinstance(each, str) else len(each) for each in prompt
    )


def _of_text(text: str) -> int:
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return size // BYTES_PER_TOKEN + 1
