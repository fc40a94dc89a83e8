from __future__ import annotations

import msgspec
import pytest

from penjing.messages import Delta, Event, Image, Message, Request, Text


def test_parts_keep_their_order_and_tags_stay_content() -> None:
    answer = '<think>a</think><answer>do(action="Tap", element=[1,2])</answer>'
    message = Message(role="user", parts=(Image(data=b"\x00\xff", media_type="image/png"), Text(text=answer)))
    again = msgspec.json.decode(msgspec.json.encode(message), type=Message)
    assert again == message
    assert again.text == answer


def test_values_do_not_change() -> None:
    with pytest.raises(AttributeError):
        Request(model="guide").model = "other"  # type: ignore[misc]


def test_an_event_knows_its_kind() -> None:
    assert msgspec.json.decode(msgspec.json.encode(Delta(text="你")), type=Event) == Delta(text="你")


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="colour"):
        msgspec.json.decode(b'{"role": "user", "colour": "red"}', type=Message)
