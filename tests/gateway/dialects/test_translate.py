"""What all writers but OpenAI's have in common."""

from __future__ import annotations

import pytest

from penjing.errors import EngineError
from penjing.gateway.dialects.openai import convert
from penjing.gateway.dialects.translate import Translator
from penjing.messages import Choice, Completion, Delta, Finish, Message, Text, Usage


class Plain(Translator):
    """Says what it is shown."""

    def event(self, event: Delta | Finish | Usage) -> bytes:
        return event.text.encode() if isinstance(event, Delta) else b"."

    def completion(self, completion: Completion) -> bytes:
        return completion.choices[0].message.text.encode()


def test_every_event_is_shown_in_order() -> None:
    said = [convert.encode(event, "m", "i") for event in (Delta(text="a"), Delta(text="b"), Finish(), Usage(1, 2))]
    assert Plain().write(b": a comment\n\n" + b"".join(said) + b"data: [DONE]\n\n") == b"ab.."
    assert Plain().write(b'data:{"choices":[]}\r\n\r\n') == b""


def test_a_whole_answer() -> None:
    message = Message(role="assistant", parts=(Text(text="hi"),))
    body = convert.whole(Completion(choices=(Choice(message=message),)), "i")
    assert Plain().whole(body) == b"hi"


@pytest.mark.parametrize("payload", [b"{", b"\xff", b'{"error": {"message": "full"}}'])
def test_a_broken_event_is_an_error(payload: bytes) -> None:
    with pytest.raises(EngineError):
        Plain().write(b"data: %b\n\n" % payload)
