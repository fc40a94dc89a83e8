"""Nothing is left out by halves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penjing.gateway.conversation.turns import turns
from penjing.gateway.dialects.openai.wire import ChatMessage, FunctionCall, ToolCall


def said(*roles: str) -> list[ChatMessage]:
    made = []
    for place, role in enumerate(roles):
        call = [ToolCall(FunctionCall("f", "{}"), "function", f"c{place}")] if role == "call" else None
        made.append(
            ChatMessage("assistant" if call else role, f"m{place}", tool_calls=call)  # type: ignore[arg-type]  # a literal
        )
    return made


def test_the_oldest_turn_goes_first_and_the_system_stays() -> None:
    found = turns(said("system", "user", "assistant", "user", "call", "tool", "assistant", "user"))
    assert found.units == ((1, 2), (3, 4, 5, 6))
    assert found.without(1) == [0, 3, 4, 5, 6, 7]
    assert found.without(2) == [0, 7]
    assert found.first(1) == [1, 2]


def test_within_the_present_turn_rounds_of_tools_go_whole() -> None:
    found = turns(said("user", "assistant", "user", "call", "tool", "tool", "call", "tool"))
    assert found.units == ((0, 1), (3, 4, 5))
    assert found.without(2) == [2, 6, 7]


def test_what_begins_without_a_user_is_a_turn_too() -> None:
    found = turns(said("assistant", "user", "assistant", "user"))
    assert found.units == ((0,), (1, 2))
    assert turns(said("system")).units == ()
    assert turns(said("assistant", "assistant")).without(1) == [1]


roles = st.lists(st.sampled_from(("system", "user", "assistant", "rounds")), min_size=1, max_size=12)


@given(roles)
def test_every_call_keeps_its_result(names: list[str]) -> None:
    flat = [role for name in names for role in (("call", "tool", "tool") if name == "rounds" else (name,))]
    messages = said(*flat)
    found = turns(messages)
    places = sorted([*found.kept, *(place for unit in found.units for place in unit)])
    assert places == list(range(len(messages)))
    users = [place for place, message in enumerate(messages) if message.role == "user"]
    for count in range(len(found.units) + 1):
        left = found.without(count)
        assert sorted([*left, *found.first(count)]) == places
        assert not users or users[-1] in left
        for place in left:
            if messages[place].role == "tool":  # its call is there: the nearest answer before it
                before = max(at for at in range(place) if messages[at].tool_calls)
                assert before in left
            if messages[place].tool_calls:
                assert place + 1 in left
                assert place + 2 in left
