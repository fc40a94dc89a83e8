from __future__ import annotations

import json
from typing import Any

import pytest

from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.limits.estimate import ANSWER, AROUND, PICTURE, Estimate, estimate

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}


def of(kind: type[wire.Body], **body: Any) -> Estimate:
    return estimate(parse(json.dumps(body).encode(), kind))  # type: ignore[arg-type]  # one of the three bodies


def chat(content: Any, **more: Any) -> Estimate:
    return of(wire.ChatBody, messages=[{"role": "user", "content": content}], **more)


def test_chats() -> None:
    assert chat("x" * 400) == (101 + AROUND, ANSWER)
    assert chat("盆景" * 60, max_tokens=7) == (91 + AROUND, 7)
    assert chat("", max_completion_tokens=5, max_tokens=9, n=3) == (1 + AROUND, 15)
    assert chat("", max_tokens=-1).answer == ANSWER
    assert chat("").total == 1 + AROUND + ANSWER


def test_a_picture_is_not_its_bytes() -> None:
    assert chat([{"type": "text", "text": "abcd"}, IMAGE]).prompt == 2 + PICTURE + AROUND


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [("x" * 40, (11, 3)), (["x" * 40, "y"], (12, 6)), ([1, 2, 3], (3, 3)), ([[1], [2, 3]], (3, 6))],
)
def test_completions(prompt: Any, tokens: tuple[int, int]) -> None:
    assert of(wire.CompletionBody, prompt=prompt, max_tokens=3) == tokens


def test_embeddings_write_nothing() -> None:
    assert of(wire.EmbeddingBody, input=["x" * 40, "y"]) == (12, 0)
