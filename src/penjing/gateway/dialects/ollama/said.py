"""Answers, streams and errors as Ollama writes them: JSON objects, a stream one a line. Times are in nanoseconds."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any

import msgspec

from penjing.errors import EngineError, PenjingError
from penjing.gateway.dialects.translate import Translator
from penjing.gateway.made import Gathered
from penjing.messages import Completion, Delta, Finish, FinishReason, Message, ToolCall, Usage

SECOND = 1_000_000_000
REASONS: dict[FinishReason, str] = {"stop": "stop", "tool_calls": "stop", "length": "length"}
"""Another is told as it is."""


def refusal(error: PenjingError) -> tuple[int, bytes]:
    """Status and body of an error."""
    message = " ".join(filter(None, (error.message("en"), error.advice("en"))))
    return error.status, msgspec.json.encode({"error": message})


def stamp() -> str:
    """Now, as RFC 3339."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def arguments(text: str) -> object:
    """A call's arguments, which are an object here and text elsewhere; what is no JSON stays a text."""
    try:
        return msgspec.json.decode(text or "{}")
    except (msgspec.MsgspecError, RecursionError):
        return text


def _required(finish: Finish) -> Finish:
    """Raises EngineError where the model did not stop but broke."""
    if finish.reason == "error":
        raise EngineError(detail="it ended the answer with an error")
    return finish


class Writer(Translator):
    """One answer. `chat`: as a message; else as a response. `began`: when it was asked (`time.perf_counter`). `why`:
    what `done_reason` says where nothing was asked for. Calls of tools come whole: they are held until they are."""

    content_type = b"application/x-ndjson"

    def __init__(self, model: str, chat: bool, began: float, why: str = "") -> None:
        self._model = model
        self._chat = chat
        self._began = began
        self._why = why
        self._first = 0.0
        self._calls = Gathered()
        self._finish = Finish()
        self._usage = Usage(0, 0)

    def event(self, event: Delta | Finish | Usage) -> bytes:
        self._first = self._first or time.perf_counter()
        if isinstance(event, Usage):
            self._usage = event
        elif isinstance(event, Finish):
            self._finish = _required(event)
        else:
            self._calls.add(Delta(tool_calls=event.tool_calls))
            if event.text or event.reasoning:
                return self._line(self._piece(event.text, event.reasoning), done=False)
        return b""

    def end(self) -> bytes:
        choices = self._calls.completion("").choices
        calls = choices[0].message.tool_calls if choices else ()
        called = self._line(self._piece("", "", calls), done=False) if calls else b""
        return called + self._line(self._piece("", ""), done=True)

    def failed(self, error: PenjingError) -> bytes:
        return refusal(error)[1] + b"\n"

    def completion(self, completion: Completion) -> bytes:
        self._first = self._began  # when the prompt was read nobody knows: all of the time counts as writing
        self._usage = completion.usage or self._usage
        choice = completion.choices[0] if completion.choices else None
        message = choice.message if choice else Message(role="assistant")
        self._finish = _required(Finish(reason=choice.reason)) if choice else self._finish
        return self._line(self._piece(message.text, message.reasoning, message.tool_calls), done=True).rstrip()

    def _piece(self, text: str, thinking: str, calls: tuple[ToolCall, ...] = ()) -> dict[str, Any]:
        more: dict[str, Any] = {"thinking": thinking} if thinking else {}
        if not self._chat:
            return {"response": text, **more}
        if calls:
            more["tool_calls"] = [
                {"id": call.id, "function": {"index": index, "name": call.name, "arguments": arguments(call.arguments)}}
                for index, call in enumerate(calls)
            ]
        return {"message": {"role": "assistant", "content": text, **more}}

    def _line(self, said: dict[str, Any], *, done: bool) -> bytes:
        line: dict[str, Any] = {"model": self._model, "created_at": stamp(), **said, "done": done}
        if done:
            line |= {
                "done_reason": self._why or REASONS.get(self._finish.reason, self._finish.reason),
                **self._counts(),
            }
        return msgspec.json.encode(line) + b"\n"

    def _counts(self) -> dict[str, int]:
        now = time.perf_counter()
        return {
            "total_duration": round((now - self._began) * SECOND),
            "load_duration": 0,
            "prompt_eval_count": self._usage.prompt_tokens,
            "prompt_eval_duration": round((self._first - self._began) * SECOND),
            "eval_count": self._usage.completion_tokens,
            "eval_duration": round((now - self._first) * SECOND),
        }


class Vectors:
    """Embeddings. `one`: as the older path gives them, a single vector."""

    content_type = b"application/json"

    def __init__(self, model: str, one: bool) -> None:
        self._model = model
        self._one = one
        self._began = time.perf_counter()

    def write(self, data: bytes) -> bytes:
        """Embeddings do not stream."""
        return b""

    def end(self) -> bytes:
        return b""

    def failed(self, error: PenjingError) -> bytes:
        return refusal(error)[1]

    def whole(self, body: bytes) -> bytes:
        said = msgspec.json.decode(body, type=dict[str, Any])
        vectors = [each["embedding"] for each in sorted(said["data"], key=lambda each: each.get("index", 0))]
        if self._one:
            return msgspec.json.encode({"embedding": vectors[0]})
        duration = round((time.perf_counter() - self._began) * SECOND)
        counted = (said.get("usage") or {}).get("prompt_tokens", 0)
        told = {"total_duration": duration, "load_duration": 0, "prompt_eval_count": counted}
        return msgspec.json.encode({"model": self._model, "embeddings": vectors, **told})
