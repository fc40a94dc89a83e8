"""A whole answer, asked of the engine as a stream.

llama.cpp looks for a client that left only once a second passes in which no request got a result: beside other
traffic never. A stream it drops at once. So a whole answer is asked for in events, and put together here.

Does not know: how requests are sent (`send` does), several choices (`merge`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from penjing.gateway import sse
from penjing.gateway.answer import Answer
from penjing.gateway.dialects.openai.rewrite import replaced
from penjing.gateway.merge import Send

STREAM: dict[str, object] = {"stream": True, "stream_options": {"include_usage": True}}
OBJECTS = {"chat.completion.chunk": "chat.completion"}


async def whole(send: Send, body: bytes) -> Answer:
    """The whole answer to `body`. Raises what `send` raises and EngineError; cancelling it stops the engine."""
    answer = await send(replaced(body, STREAM))
    pieces = Pieces()
    try:
        async for payload in sse.payloads(answer):
            pieces.add(sse.decoded(payload))
    finally:
        answer.cancel()
    return Answer.of(msgspec.json.encode(pieces.together()))


class Pieces:
    """Collects the events of one answer with one choice."""

    def __init__(self) -> None:
        self._outer: dict[str, Any] = {}
        self._choice: dict[str, Any] = {"index": 0, "finish_reason": None}
        self._text: list[str] = []
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._logprobs: list[Any] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._chat = False

    def add(self, event: dict[str, Any]) -> None:
        """Take one event; later values of a field replace earlier ones, texts grow."""
        choices = event.pop("choices", ())
        self._outer.update(event)
        for choice in choices:
            if choice.get("finish_reason"):
                self._choice["finish_reason"] = choice["finish_reason"]
            self._logprobs += (choice.get("logprobs") or {}).get("content") or ()
            self._text.append(choice.get("text") or "")
            if "delta" in choice:
                self._chat = True
                self._delta(choice["delta"])

    def _delta(self, delta: dict[str, Any]) -> None:
        self._content.append(delta.get("content") or "")
        self._reasoning.append(delta.get("reasoning_content") or "")
        for piece in delta.get("tool_calls") or ():
            call = self._calls.setdefault(
                piece["index"], {"type": "function", "function": {"name": "", "arguments": ""}}
            )
            call["id"] = piece.get("id") or call.get("id", "")
            for field, text in (piece.get("function") or {}).items():
                call["function"][field] += text or ""

    def together(self) -> dict[str, Any]:
        """The answer as one object of OpenAI's API."""
        said: dict[str, Any] = {"message": self._message()}
        if not self._chat:
            said = {"text": "".join(self._text), "logprobs": None}
        choice = {**self._choice, **said}
        if self._logprobs:
            choice["logprobs"] = {"content": self._logprobs}
        kind = self._outer.get("object", "")
        return {**self._outer, "object": OBJECTS.get(kind, kind), "choices": [choice]}

    def _message(self) -> dict[str, Any]:
        calls = [self._calls[index] for index in sorted(self._calls)]
        content: str | None = "".join(self._content)
        message: dict[str, Any] = {"role": "assistant", "content": content or (None if calls else "")}
        if reasoning := "".join(self._reasoning):
            message["reasoning_content"] = reasoning
        if calls:
            message["tool_calls"] = calls
        return message
