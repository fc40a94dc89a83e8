"""Answers, streams and errors as text-generation-webui writes them."""

from __future__ import annotations

import msgspec

from penjing.errors import PenjingError
from penjing.gateway.dialects.textgen.wire import History
from penjing.gateway.dialects.translate import Translator
from penjing.messages import Completion, Delta, Finish, Usage


def refusal(error: PenjingError) -> tuple[int, bytes]:
    """Status and body of an error."""
    return error.status, _error(error)


def _error(error: PenjingError) -> bytes:
    message = " ".join(filter(None, (error.message("en"), error.advice("en"))))
    return msgspec.json.encode({"error": {"message": message, "code": error.code}})


class Plain(Translator):
    """`/api/v1/generate`: a text. As a stream, one JSON object a line (over a WebSocket, a message)."""

    content_type = b"application/x-ndjson"

    def __init__(self) -> None:
        self._number = 0

    def result(self, text: str) -> dict[str, object]:
        """A whole answer."""
        return {"text": text}

    def piece(self, text: str) -> dict[str, object]:
        """More of a stream."""
        return {"text": text}

    def event(self, event: Delta | Finish | Usage) -> bytes:
        if not isinstance(event, Delta) or not event.text:
            return b""
        return self._line("text_stream", self.piece(event.text))

    def end(self) -> bytes:
        return self._line("stream_end", {})

    def failed(self, error: PenjingError) -> bytes:
        return _error(error) + b"\n"

    def completion(self, completion: Completion) -> bytes:
        results = [self.result(choice.message.text) for choice in completion.choices]
        return msgspec.json.encode({"results": results})

    def _line(self, name: str, said: dict[str, object]) -> bytes:
        line = msgspec.json.encode({"event": name, "message_num": self._number, **said}) + b"\n"
        self._number += 1
        return line


class Chat(Plain):
    """`/api/v1/chat`: the whole history, the answer at its end; as a stream, again and again as it grows."""

    def __init__(self, history: History, question: str) -> None:
        super().__init__()
        self._history = history
        self._question = question
        self._text = ""

    def result(self, text: str) -> dict[str, object]:
        pair = (self._question, text)
        return {"history": {"internal": [*self._history.internal, pair], "visible": [*self._history.visible, pair]}}

    def piece(self, text: str) -> dict[str, object]:
        self._text += text
        return self.result(self._text)
