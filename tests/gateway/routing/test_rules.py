from __future__ import annotations

import json
from datetime import datetime
from math import inf
from typing import Any

import msgspec
import pytest

from penjing.gateway.ask import Ask
from penjing.gateway.dialects.openai.dialect import DIALECT
from penjing.gateway.grant import Grant
from penjing.gateway.reply import Incoming
from penjing.gateway.routing.facts import Facts
from penjing.gateway.routing.rules import Rule, Rules

STAY = b"x-penjing-local-only"
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40_000}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


class World:
    def __init__(self, load: float = 0.0, left: float = inf, now: str = "2026-11-21T12:00") -> None:
        self._load, self._left, self._now = load, left, datetime.fromisoformat(now)

    def load(self, engine: str) -> float:
        return self._load

    def left(self, grant: Grant) -> float:
        return self._left

    def now(self) -> datetime:
        return self._now


def facts(
    content: Any = "hi", grant: Grant | None = None, headers: dict[bytes, bytes] | None = None, **more: Any
) -> Facts:
    path = "/v1/chat/completions"
    endpoint = next(each for each in DIALECT.endpoints if each.path == path)
    body = json.dumps({"messages": [{"role": "user", "content": content}], **more}, ensure_ascii=False).encode()
    ask = Ask(endpoint, Incoming("POST", path, headers=headers or {}, body=body))
    ask.key = grant or Grant()
    return Facts(ask)


def rule(**fields: Any) -> Rule:
    return msgspec.convert({"to": "x", **fields}, Rule)


def test_a_rule_that_asks_nothing_fits() -> None:
    assert rule().fits(facts(), World())


@pytest.mark.parametrize(
    ("asked", "yes", "no"),
    [
        ({"model": "gpt-*"}, {"model": "gpt-4o"}, {"model": "guide"}),
        ({"model": ["auto", ""]}, {}, {"model": "guide"}),
        ({"kind": ["chat"]}, {}, None),
        ({"kind": ["embedding"]}, None, {}),
        ({"task": "code"}, {"headers": {b"x-penjing-task": b"code"}}, {}),
        ({"task": "co*"}, {"metadata": {"task": "code"}}, {"metadata": {"task": "mail"}}),
        ({"key": "team-*"}, {"grant": Grant(name="team-a")}, {"grant": Grant(name="other")}),
        ({"tokens_over": 100}, {"content": "word " * 200}, {"content": "word"}),
        ({"tokens_under": 100}, {"content": "word"}, {"content": "word " * 200}),
        ({"tokens_over": 100}, {"content": "字" * 200}, {"content": "字" * 20}),
        ({"tools": True}, {"tools": [TOOL]}, {}),
        ({"tools": True}, {"tools": [TOOL]}, {"tools": [TOOL], "tool_choice": "none"}),
        ({"tools": False}, {}, {"tools": [TOOL]}),
        ({"vision": True}, {"content": [PICTURE]}, {"content": [{"type": "text", "text": "hi"}]}),
        ({"private": True}, {"grant": Grant(local_only=True)}, {}),
        (
            {"private": True},
            {"headers": {STAY: b"1"}},
            {"headers": {STAY: b"no"}},
        ),
        ({"model": "a", "tools": True}, {"model": "a", "tools": [TOOL]}, {"model": "a"}),
    ],
)
def test_what_a_rule_asks_of_the_request(asked: dict[str, Any], yes: Any, no: Any) -> None:
    if yes is not None:
        assert rule(**asked).fits(facts(**yes), World())
    if no is not None:
        assert not rule(**asked).fits(facts(**no), World())


def test_what_a_rule_asks_of_the_world() -> None:
    busy = rule(busy="small")
    assert [busy.fits(facts(), World(load=load)) for load in (0.0, 0.99, 1.0, inf)] == [False, False, True, True]
    assert rule(busy="small", load=0.5).fits(facts(), World(load=0.5))
    poor = rule(budget_under=1.0)
    assert [poor.fits(facts(), World(left=left)) for left in (0.5, 1.0, inf)] == [True, False, False]


@pytest.mark.parametrize(
    ("asked", "now", "fits"),
    [
        ({"hours": "08:00-18:00"}, "2026-11-21T08:00", True),
        ({"hours": "08:00-18:00"}, "2026-11-21T18:00", False),
        ({"hours": "22:00-06:00"}, "2026-11-21T23:30", True),
        ({"hours": "22:00-06:00"}, "2026-11-21T05:59", True),
        ({"hours": "22:00-06:00"}, "2026-11-21T12:00", False),
        ({"days": ["sat", "sun"]}, "2026-11-21T12:00", True),
        ({"days": ["mon"]}, "2026-11-21T12:00", False),
        ({"days": ["sat"], "hours": "08:00-09:00"}, "2026-11-21T12:00", False),
    ],
)
def test_time(asked: dict[str, Any], now: str, fits: bool) -> None:
    assert rule(**asked).fits(facts(), World(now=now)) is fits


def test_pictures_are_not_counted_as_text() -> None:
    assert facts([PICTURE, {"type": "text", "text": "what is this?"}]).tokens < 10


def test_the_first_that_fits_wins() -> None:
    rules = (rule(name="a", model="gpt-*"), rule(name="b"), rule(name="c", model="guide"))
    assert Rules(rules).first(facts(model="guide"), World()) == rules[1]
    assert Rules(rules[:1]).first(facts(model="guide"), World()) is None


@pytest.mark.parametrize(
    "wrong", [{"tokens_ovr": 1}, {"hours": "8-18"}, {"to": ()}, {"days": ["Monday"]}, {"kind": ["chats"]}, {"model": 1}]
)
def test_a_rule_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        rule(**wrong)


def test_conditions_are_those_that_were_given() -> None:
    given = rule(name="n", busy="small", tools=False, tokens_over=9, local_only=True).conditions
    assert given == {"busy": "small", "load": 1.0, "tools": False, "tokens_over": 9}
