"""What is taken out, and what only looks like it."""

from __future__ import annotations

import pytest

from penjing.gateway.audit.redact import redacted


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("write to li.lei+work@example.com.cn today", "write to [e-mail] today"),
        ("我的手机是13812345678,请回电", "我的手机是[telephone],请回电"),
        ("+86 138 1234 5678", "[telephone]"),
        ("call +44 20 7946 0958 now", "call [telephone] now"),
        ("身份证11010519491231002X。", "身份证[identity number]。"),
        ("card 4111 1111 1111 1111 ok", "card [card number] ok"),
        ("use sk-abcdefghijklmnopqrstuvwx please", "use [key] please"),
        ("Authorization: Bearer abcdefghijklmnopqrstuv", "Authorization: Bearer [key]"),
    ],
)
def test_it_is_gone(said: str, kept: str) -> None:
    assert redacted(said) == kept


@pytest.mark.parametrize(
    "said",
    ["11010519491231002", "4111 1111 1111 1112", "1234567890123", "in 2026 about 1,234,567", "a@b", "skeleton-key"],
)
def test_it_stays(said: str) -> None:
    assert redacted(said) == said
