"""How fast an answer was, as one line and as JSON."""

from __future__ import annotations

from typing import Any

from penjing.cli.chat.session import Answer
from penjing.language import say


def line_of(answer: Answer) -> str:
    """Time to the first token, speed and counts."""
    clock = answer.clock
    usage = clock.usage
    return say(
        "first token {first:.2f} s · {speed:.1f} tokens/s · {tokens} tokens · prompt {prompt} (cached {cached})",
        first=clock.to_first,
        speed=clock.speed,
        tokens=clock.tokens,
        prompt=usage.prompt_tokens if usage else "?",
        cached=usage.cached_tokens if usage else "?",
    )


def json_of(answer: Answer, model: str) -> dict[str, Any]:
    """Everything about one answer."""
    usage = answer.clock.usage
    return {
        "model": model,
        "answer": answer.text,
        "reasoning": answer.reasoning,
        "finish_reason": answer.finish,
        "usage": {
            "prompt_tokens": usage.prompt_tokens if usage else None,
            "completion_tokens": answer.clock.tokens,
            "cached_tokens": usage.cached_tokens if usage else None,
        },
        "seconds_to_first_token": round(answer.clock.to_first, 4),
        "tokens_per_second": round(answer.clock.speed, 2),
    }
