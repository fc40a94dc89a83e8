"""Answers as Anthropic's clients read them.

The order of a stream's events: https://docs.anthropic.com/en/docs/build-with-claude/streaming. Blocks follow each
other, one open at a time.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penjing.errors import EngineError, PenjingError
from penjing.gateway.dialects.anthropic import said
from penjing.gateway.dialects.translate import Translator
from penjing.messages import Choice, Completion, Delta, Finish, ToolCall, ToolPiece, Usage

NO_TOOL = -1


class Writer(Translator):
    """One answer. `model` is the one that answers."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._started = False
        self._open = ""
        self._index = -1
        self._tool = NO_TOOL
        self._finish = Finish()
        self._usage: Usage | None = None

    def write(self, data: bytes) -> bytes:
        """As all writers; the message begins with the first bytes of the engine."""
        written = super().write(data)
        return written if self._started else self._start() + written

    def event(self, event: Delta | Finish | Usage) -> bytes:
        if isinstance(event, Usage):
            self._usage = event
            return b""
        if isinstance(event, Finish):
            said.end(event.reason)
            self._finish = event
            return b""
        pieces = [] if self._started else [self._start()]
        if event.reasoning:
            pieces += [self._block("thinking"), self._delta("thinking_delta", thinking=event.reasoning)]
        if event.text:
            pieces += [self._block("text"), self._delta("text_delta", text=event.text)]
        pieces += [self._called(piece) for piece in event.tool_calls]
        return b"".join(pieces)

    def end(self) -> bytes:
        begun = b"" if self._started else self._start()
        delta = said.end(self._finish.reason, self._finish.stop, called=self._tool != NO_TOOL)
        last = said.event("message_delta", delta=delta, usage=said.usage(self._usage))
        return b"".join((begun, self._close(), last, said.event("message_stop")))

    def failed(self, error: PenjingError) -> bytes:
        fault = said.fault(error)
        return said.event(**{"kind": fault.pop("type"), **fault})

    def completion(self, completion: Completion) -> bytes:
        if not completion.choices:
            raise EngineError(detail="its answer has no choices")
        choice = completion.choices[0]
        end = said.end(choice.reason, choice.stop, called=bool(choice.message.tool_calls))
        whole = said.message(self._model, _content(choice), end, said.usage(completion.usage))
        return msgspec.json.encode(whole)

    def _start(self) -> bytes:
        self._started = True
        whole = said.message(self._model, [], said.NOT_YET, said.usage(None))
        return said.event("message_start", message=whole) + said.event("ping")

    def _block(self, kind: str, block: dict[str, Any] | None = None) -> bytes:
        """Open a block of `kind`, unless it is open; a `block` given is a new one in any case."""
        if self._open == kind and block is None:
            return b""
        closed = self._close()
        self._open = kind
        self._index += 1
        first = block or {"type": kind, kind: "", **({"signature": ""} if kind == "thinking" else {})}
        return closed + said.event("content_block_start", index=self._index, content_block=first)

    def _delta(self, kind: str, **fields: str) -> bytes:
        return said.event("content_block_delta", index=self._index, delta={"type": kind, **fields})

    def _close(self) -> bytes:
        if not self._open:
            return b""
        signed = self._delta("signature_delta", signature=said.UNSIGNED) if self._open == "thinking" else b""
        self._open = ""
        return signed + said.event("content_block_stop", index=self._index)

    def _called(self, piece: ToolPiece) -> bytes:
        begun = b""
        if self._open != "tool_use" or piece.index != self._tool:
            if piece.index <= self._tool:
                raise EngineError(detail=f"it went back to tool call {piece.index} after another one")
            self._tool = piece.index
            call = ToolCall(id=piece.id, name=piece.name, arguments="")
            begun = self._block("tool_use", said.tool_use(call, {}))
        return begun + (self._delta("input_json_delta", partial_json=piece.arguments) if piece.arguments else b"")


def _content(choice: Choice) -> list[dict[str, Any]]:
    message = choice.message
    blocks: list[dict[str, Any]] = []
    if message.reasoning:
        blocks.append({"type": "thinking", "thinking": message.reasoning, "signature": said.UNSIGNED})
    if message.text:
        blocks.append({"type": "text", "text": message.text})
    for call in message.tool_calls:
        input = _object(call.arguments)
        if input is not None:
            blocks.append(said.tool_use(call, input))
        elif choice.reason != "length":  # one that the limit cut in the middle is no call; `stop_reason` says so
            raise EngineError(detail=f"the arguments of its call of '{call.name}' are no JSON object")
    return blocks


def _object(arguments: str) -> msgspec.Raw | None:
    """The text as it is, where it is a JSON object."""
    try:
        msgspec.json.decode(arguments or "{}", type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return None
    return msgspec.Raw(arguments.encode() or b"{}")
