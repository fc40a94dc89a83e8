"""Answers as clients of the Responses API read them.

The order of a stream's events: https://platform.openai.com/docs/api-reference/responses-streaming. Items follow each
other, one open at a time; every event has its number.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from penjing.errors import EngineError, PenjingError
from penjing.gateway.dialects.responses import said, wire
from penjing.gateway.dialects.responses.growing import Growing
from penjing.gateway.dialects.translate import Translator
from penjing.messages import Completion, Delta, Finish, FinishReason, ToolPiece, Usage

Keep = Callable[[str, bytes], None]
"""Told the id and the JSON of an answer that is complete."""


class Writer(Translator):
    """One answer to `body`, of which it repeats `echo`, by `model`; `keep` is told when it is complete."""

    def __init__(self, body: wire.ResponsesBody, echo: said.Echo, model: str, keep: Keep) -> None:
        self._frame = said.response(body, echo, model)
        self._summed = said.summed(body)
        self._keep = keep
        self._number = 0
        self._output: list[dict[str, Any]] = []
        self._open: Growing | None = None
        self._tool = -1
        self._finish: FinishReason = "stop"
        self._usage: Usage | None = None

    # a stream

    def write(self, data: bytes) -> bytes:
        """As all writers; the answer begins with the first bytes of the engine."""
        return self._start() + super().write(data)

    def event(self, event: Delta | Finish | Usage) -> bytes:
        if isinstance(event, Usage):
            self._usage = event
            return b""
        if isinstance(event, Finish):
            self._finish = said.sound(event.reason)
            return b""
        pieces: list[bytes] = []
        if event.reasoning:
            pieces.append(self._more("summary" if self._summed else "reasoning", event.reasoning))
        if event.text:
            pieces.append(self._more("message", event.text))
        pieces += [self._called(piece) for piece in event.tool_calls]
        return b"".join(pieces)

    def end(self) -> bytes:
        begun = self._start()
        closed = self._close("incomplete" if self._finish in said.WHY else "completed")
        whole = self._complete(self._finish, self._usage)
        kind = "response.incomplete" if self._finish in said.WHY else "response.completed"
        return begun + closed + self._event(kind, response=whole)

    def failed(self, error: PenjingError) -> bytes:
        """The answer so far with what broke it; it is not kept."""
        begun = self._start()
        closed = self._close("incomplete")
        text = " ".join(filter(None, (error.message("en"), error.advice("en"))))
        code = {429: "rate_limit_exceeded", 400: "invalid_prompt"}.get(error.status, "server_error")
        fault = {"code": code, "message": text}
        broken = {**self._frame, "status": "failed", "error": fault, "output": self._output}
        return begun + closed + self._event("response.failed", response=broken)

    def _start(self) -> bytes:
        if self._number:
            return b""
        created = self._event("response.created", response=self._frame)
        return created + self._event("response.in_progress", response=self._frame)

    def _event(self, kind: str, **fields: object) -> bytes:
        payload = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(payload))

    def _more(self, kind: str, text: str) -> bytes:
        begun = b"" if self._open is not None and self._open.kind == kind else self._begin(Growing(kind))
        return begun + self._told(self._item.more(text))

    def _called(self, piece: ToolPiece) -> bytes:
        begun = b""
        if self._open is None or self._open.kind != "function_call" or piece.index != self._tool:
            if piece.index <= self._tool:
                raise EngineError(detail=f"it went back to tool call {piece.index} after another one")
            self._tool = piece.index
            begun = self._begin(Growing("function_call", call_id=piece.id or said.new("call"), name=piece.name))
        return begun + (self._told(self._item.more(piece.arguments)) if piece.arguments else b"")

    @property
    def _item(self) -> Growing:
        if self._open is None:
            raise EngineError(detail="it sent a piece of nothing")
        return self._open

    def _begin(self, item: Growing) -> bytes:
        closed = self._close("completed")
        self._open = item
        return closed + self._told(item.begin())

    def _close(self, status: str) -> bytes:
        if self._open is None:
            return b""
        told = self._told(self._open.end(status))
        self._output.append(self._open.item(status))
        self._open = None
        return told

    def _told(self, events: list[dict[str, Any]]) -> bytes:
        place = {"output_index": len(self._output)}
        return b"".join(self._event(**{"kind": each.pop("type"), **place, **each}) for each in events)

    # a whole answer

    def completion(self, completion: Completion) -> bytes:
        if not completion.choices:
            raise EngineError(detail="its answer has no choices")
        choice = completion.choices[0]
        message = choice.message
        items = (
            [Growing("summary" if self._summed else "reasoning", text=message.reasoning)] if message.reasoning else []
        )
        items += [Growing("message", text=message.text)] if message.text else []
        items += [
            Growing("function_call", text=call.arguments, call_id=call.id or said.new("call"), name=call.name)
            for call in message.tool_calls
        ]
        last = "incomplete" if choice.reason in said.WHY else "completed"
        self._output = [item.item("completed") for item in items[:-1]] + [item.item(last) for item in items[-1:]]
        return msgspec.json.encode(self._complete(choice.reason, completion.usage))

    def _complete(self, reason: FinishReason, usage: Usage | None) -> dict[str, Any]:
        """The whole answer, kept."""
        why = said.WHY.get(said.sound(reason))
        whole = {
            **self._frame,
            "status": "incomplete" if why else "completed",
            "incomplete_details": {"reason": why} if why else None,
            "completed_at": None if why else int(time.time()),
            "output": self._output,
            "usage": said.usage(usage),
        }
        self._keep(str(whole["id"]), msgspec.json.encode(whole))
        return whole
