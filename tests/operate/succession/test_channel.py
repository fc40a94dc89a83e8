"""What two processes tell each other."""

from __future__ import annotations

import socket

from hypothesis import given
from hypothesis import strategies as st

from penjing.operate.succession.channel import Channel, heard_first, read


@given(st.binary())
def test_whatever_arrives_is_a_line_or_nothing(line: bytes) -> None:
    assert isinstance(read(line)["event"], str)


async def test_lines_arrive_in_order_and_the_end_is_heard() -> None:
    one, other = socket.socketpair()
    ours, theirs = Channel(one), Channel(other)
    ours.send("heir", free=3)
    ours.send("room")
    ours.send("yours")
    assert heard_first(other) == {"event": "heir", "free": 3}
    other.setblocking(False)
    assert [(await theirs.hear())["event"] for _ in range(2)] == ["room", "yours"]
    ours.close()
    assert await theirs.hear() == {"event": ""}
    theirs.send("ready")  # to nobody
    theirs.close()
