from __future__ import annotations

from typing import Any

import pytest

from gateway.running import Running, Serving, until, user
from penjing.engines.fake import Fake, Script
from penjing.gateway.arms import Sample, Split, Thumb
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies.feedback import FeedbackOptions
from penjing.gateway.refusing import Refusing

FEEDBACK = "/v1/feedback"
CHAT = "/v1/chat/completions"


async def test_an_answer_is_known_by_its_header_and_by_its_body(serving: Serving) -> None:
    async with serving(Script()) as running:
        async with running.client.post(CHAT, json={"messages": [user("hi")]}) as answer:
            header, said = answer.headers["x-penjing-answer"], await answer.json()
        for id in (header, said["id"]):
            assert await running.post(FEEDBACK, {"id": id, "rating": "down"}) == (
                200,
                {"object": "feedback", "accepted": True},
            )
        metrics = await (await running.client.get("/metrics")).text()
        assert 'penjing_feedback_total{model="fake",rating="down"} 2' in metrics


async def test_an_answer_is_known_before_it_is_over(serving: Serving) -> None:
    async with serving(Script(hang_after=2)) as running:
        body = {"messages": [user("hi")], "stream": True}
        async with running.client.post(CHAT, json=body) as answer:
            rating = {"id": answer.headers["x-penjing-answer"], "rating": "up"}
            assert (await running.post(FEEDBACK, rating))[0] == 200


async def test_streams_and_other_dialects_too(serving: Serving) -> None:
    async with serving(Script()) as running:
        body = {"model": "fake", "max_tokens": 9, "messages": [user("hi")], "stream": True}
        for path in (CHAT, "/v1/messages", "/api/chat", "/v1/responses"):
            asked = {**body, **({"input": "hi"} if path == "/v1/responses" else {})}
            if path == "/v1/responses":
                asked = {"model": "fake", "input": "hi", "stream": True}
            elif path == "/api/chat":
                asked = {"model": "fake", "messages": [user("hi")], "stream": True}
            async with running.client.post(path, json=asked) as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()
            status, _ = await running.post(FEEDBACK, {"id": answer.headers["x-penjing-answer"], "rating": "up"})
            assert status == 200, path


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"id": "nobody-knows", "rating": "up"}, 404, "no_such_answer"),
        ({"id": "x", "rating": "sideways"}, 400, "invalid_value"),
        ({"id": "x", "rating": "up", "more": 1}, 400, "unknown_parameter"),
        ({"rating": "up"}, 400, None),
    ],
)
async def test_what_is_refused(serving: Serving, body: Any, status: int, code: str | None) -> None:
    async with serving(Script()) as running:
        found, said = await running.post(FEEDBACK, body)
        assert found == status
        assert code is None or said["error"]["code"] == code


async def test_only_the_last_answers_are_remembered(serving: Serving) -> None:
    options = GatewayOptions(policies={"feedback": FeedbackOptions(remember=2)})
    async with serving(Script(), options) as running:
        ids = [await asked(running) for _ in range(3)]
        assert (await running.post(FEEDBACK, {"id": ids[0], "rating": "up"}))[0] == 404
        assert (await running.post(FEEDBACK, {"id": ids[2], "rating": "up"}))[0] == 200


async def asked(running: Running, conversation: str = "", **fields: Any) -> str:
    headers = {"x-penjing-conversation": conversation} if conversation else {}
    body = {"messages": [user("hi")], **fields}
    async with running.client.post(CHAT, json=body, headers=headers) as answer:
        await answer.read()
        return answer.headers.get("x-penjing-answer", "")


async def test_a_judge_hears_of_both_arms(serving: Serving) -> None:
    tokens = ("word ",) * 10
    engines = {
        "m": Fake(Script(tokens=tokens), "m"),
        "m:canary": Fake(Script(tokens=("I'm sorry, ", "but I can't do that.", *tokens)), "m:canary"),
    }
    options = GatewayOptions(released=("m",))
    async with serving(options=options, engines=engines) as running:
        await until(lambda: len(running.said) > 1, "ready")
        heard: list[Sample | Thumb] = []
        arms = running.gateway.house.arms
        arms.hear.append(heard.append)
        assert await asked(running)
        assert heard == []
        arms.splits["m"] = Split("m:canary", 0.5, judged=True)
        ids = {str(number): await asked(running, str(number), stream=True) for number in range(12)}
        samples = [each for each in heard if isinstance(each, Sample)]
        assert {each.arm for each in samples} == {"stable", "canary"}
        assert all(each.refused == (each.arm == "canary") for each in samples)
        assert all(each.ttft and not each.failed for each in samples)
        assert len({each.conversation for each in samples}) == 12
        await running.post(FEEDBACK, {"id": ids["3"], "rating": "down"})
        (thumb,) = [each for each in heard if isinstance(each, Thumb)]
        assert (thumb.arm, thumb.conversation, thumb.up) == (samples[3].arm, samples[3].conversation, False)


async def test_a_canary_that_is_stood_in_for_failed(serving: Serving) -> None:
    engines = {"m": Fake(Script(), "m"), "m:canary": Fake(Script(status=500), "m:canary")}
    async with serving(options=GatewayOptions(released=("m",)), engines=engines) as running:
        await until(lambda: len(running.said) > 1, "ready")
        heard: list[Sample | Thumb] = []
        running.gateway.house.arms.hear.append(heard.append)
        running.gateway.house.arms.splits["m"] = Split("m:canary", 1.0, judged=True)
        assert await asked(running)
        assert [(each.arm, each.failed) for each in heard if isinstance(each, Sample)] == [("canary", True)]


@pytest.mark.parametrize(
    ("data", "refused"),
    [
        (b'data: {"choices":[{"delta":{"content":"Sorry, I can\'t"}}]}\n\n', True),
        ('data: {"choices":[{"delta":{"content":"抱歉，我无法"}}]}\n\n'.encode(), True),
        (b'data: {"choices":[{"delta":{"content":"I \\u201ccan\\u201d."}}]}\n\n', False),
        (b'{"choices":[{"message":{"content":null,"refusal":"No."}}]}', True),
        (b'{"choices":[{"finish_reason":"content_filter","message":{"content":"x"}}]}', True),
        (b'{"choices":[{"message":{"content":"Sure.","refusal":null}}]}', False),
    ],
)
def test_refusals(data: bytes, refused: bool) -> None:
    heard = Refusing()
    heard(data)
    assert heard.refused == refused
