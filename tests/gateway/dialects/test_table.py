"""Which dialect a request is in."""

from __future__ import annotations

from typing import Any

from penjing.gateway.dialects.dialect import Dialect, Page
from penjing.gateway.dialects.openai.dialect import DIALECT as OPENAI
from penjing.gateway.dialects.openai.endpoints import OpenAI, refusal
from penjing.gateway.dialects.openai.wire import ChatBody
from penjing.gateway.dialects.table import Table
from penjing.gateway.reply import Incoming


async def nothing(*given: Any) -> tuple[int, bytes, bytes]:
    return 200, b"text/plain", b""


LIST, ONE, FORGET = (
    Page("GET", "/v1/models", nothing, "List."),
    Page("GET", "/things/*", nothing, "One."),
    Page("DELETE", "/things/*", nothing, "Forget."),
)
CHAT = OpenAI("/chat", ChatBody, "Chat.", dialect="other")
OTHER = Dialect("other", refusal, (CHAT,), (LIST, ONE, FORGET), lambda incoming: b"x-other" in incoming.headers)
TABLE = Table((OTHER, OPENAI))


def test_the_path_decides() -> None:
    assert TABLE.endpoint(Incoming("POST", "/chat")) is CHAT
    found = TABLE.endpoint(Incoming("POST", "/v1/completions"))
    assert found is not None
    assert found.path == "/v1/completions"
    assert TABLE.endpoint(Incoming("GET", "/chat")) is None
    assert TABLE.endpoint(Incoming("POST", "/elsewhere")) is None


def test_pages_have_methods_and_may_hold_what_follows() -> None:
    assert TABLE.page(Incoming("GET", "/things/7/parts")) is ONE
    assert TABLE.page(Incoming("HEAD", "/things/7")) is ONE
    assert TABLE.page(Incoming("DELETE", "/things/7")) is FORGET
    assert TABLE.page(Incoming("PUT", "/things/7")) is None
    assert TABLE.allowed("/things/7") == ("GET", "DELETE")
    assert TABLE.allowed("/chat") == ("POST",)
    assert TABLE.allowed("/nowhere") == ()


def test_errors_are_told_in_the_dialect_of_the_path() -> None:
    assert TABLE.dialect(Incoming("POST", "/chat")) is OTHER
    assert TABLE.dialect(Incoming("GET", "/things/7")) is OTHER
    assert TABLE.dialect(Incoming("GET", "/nowhere")) is OPENAI


def test_where_two_have_a_path_the_one_that_speaks_it_takes_it() -> None:
    second = OpenAI("/v1/completions", ChatBody, "Too.", dialect="other")
    table = Table((Dialect("other", refusal, (second,), speaks=OTHER.speaks), OPENAI))
    assert table.endpoint(Incoming("POST", "/v1/completions", headers={b"x-other": b"1"})) is second
    assert table.endpoint(Incoming("POST", "/v1/completions")) is OPENAI.endpoints[1]
