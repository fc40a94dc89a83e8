"""The gateway in front of the fake engine: paths, errors, faults, and what is left behind."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from gateway.running import Running, Serving, until, user
from penjing.engines.fake import Fake, Script
from penjing.errors import EngineStartFailed, ModelCorrupt
from penjing.gateway.options import GatewayOptions, Limits
from penjing.operate.supervise import Patience, Supervised

MANY = Script(tokens=tuple(f"t{index} " for index in range(200)), delay=0.02)


def events(text: str) -> list[Any]:
    return [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: {")]


def text_of(stream: str) -> str:
    choices = [event["choices"][0] for event in events(stream) if event.get("choices")]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def test_a_whole_answer(serving: Serving) -> None:
    async with serving() as running:
        status, body = await running.chat()
    assert status == 200
    assert body["choices"][0]["message"]["content"] == "Hello, world!"
    assert body["usage"]["completion_tokens"] == 4


async def test_a_stream_ends_with_done(serving: Serving) -> None:
    async with serving() as running:
        stream = await running.stream({"messages": [user("hi")]})
    assert text_of(stream) == "Hello, world!"
    assert stream.endswith("data: [DONE]\n\n")


async def test_an_unchanged_request_reaches_the_engine_byte_for_byte(serving: Serving) -> None:
    body = b'{ "model":"fake",\n "messages":[{"role":"user","content":"\\u4f60\xe5\xa5\xbd"}], "temperature": 1e0}'
    async with serving() as running:
        seen: list[bytes] = []
        pool_ask = running.gateway.house.pool("fake", running.engine).ask

        async def spy(method: str, path: str, sent: bytes = b"") -> Any:
            seen.append(sent)
            return await pool_ask(method, path, sent)

        running.gateway.house.pool("fake", running.engine).ask = spy  # type: ignore[method-assign]
        status, _ = await running.post("/v1/chat/completions", body)
    assert status == 200
    assert seen == [body]


async def test_content_survives_exactly(serving: Serving) -> None:
    said = '<think>a</think><answer>do(action="Tap", element=[1,2])</answer>'
    async with serving(Script(tokens=(said,))) as running:
        status, body = await running.chat()
        stream = await running.stream({"messages": [user("hi")]})
    assert status == 200
    assert body["choices"][0]["message"]["content"] == said
    assert text_of(stream) == said


async def test_models_are_listed_and_found_by_name(serving: Serving) -> None:
    async with serving() as running:
        _, listed = await running.get("/v1/models")
        found = await running.get("/v1/models/fake")
        missing = await running.get("/v1/models/gpt-3.5-turbo")
    assert [model["id"] for model in listed["data"]] == ["fake"]
    assert found[0] == 200
    assert found[1]["context_length"] == 4096
    assert missing[0] == 404


async def test_an_unknown_model_is_refused_by_name(serving: Serving) -> None:
    async with serving() as running:
        status, body = await running.chat(model="gpt-3.5-turbo")
    assert status == 404
    assert body["error"]["code"] == "model_not_found"
    assert "gpt-3.5-turbo" in body["error"]["message"]
    assert "fake" in body["error"]["message"]


async def test_models_are_chosen_by_name_and_the_first_by_default(serving: Serving) -> None:
    engines = {name: Fake(Script(tokens=(name,)), name) for name in ("one", "two")}
    async with serving(engines=engines) as running:
        await until(lambda: len(running.said) > 1, "ready")
        answers = [await running.chat(**named) for named in ({}, {"model": "two"}, {"model": "one"})]
    assert [answer["choices"][0]["message"]["content"] for _, answer in answers] == ["one", "two", "one"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/v1/chat/completion", 404, "not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/fake", 405, "method_not_allowed"),
    ],
)
async def test_wrong_paths_and_methods(serving: Serving, method: str, path: str, status: int, code: str) -> None:
    async with serving() as running, running.client.request(method, path) as answer:
        body = await answer.json()
        assert (answer.status, body["error"]["code"]) == (status, code)
        assert ("Allow" in answer.headers) == (status == 405)


async def test_a_mistyped_path_is_told_the_right_one(serving: Serving) -> None:
    async with serving() as running:
        _, body = await running.get("/v1/chat/completion")
    assert "/v1/chat/completions" in body["error"]["message"]


class Slow(Fake):
    """Is loaded when `go_on` is set."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.go_on = asyncio.Event()

    async def start(self) -> None:
        await self.go_on.wait()
        await super().start()


async def test_loading_is_503_with_progress_then_ready(serving: Serving) -> None:
    slow = Slow(name="slow")
    async with serving(engines={"slow": slow}) as running:
        assert (await running.get("/health?live"))[0] == 200
        status, body = await running.get("/health")
        assert (status, body["status"]) == (503, "loading")
        assert 0 <= body["models"]["slow"]["progress"] < 1
        async with running.client.post("/v1/chat/completions", json={"messages": [user("hi")]}) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"]
            assert (await answer.json())["error"]["code"] == "engine_loading"
        assert (await running.get("/v1/models"))[1]["data"][0]["ready"] is False
        slow.go_on.set()
        await until(lambda: len(running.said) > 1, "ready")
        assert (await running.get("/health"))[0] == 200
        assert (await running.chat())[0] == 200


async def test_one_engine_that_cannot_start_does_not_stop_the_others(serving: Serving) -> None:
    broken = Fake(Script(start_error=ModelCorrupt(path="x.gguf", detail="no magic")), "broken")
    async with serving(engines={"good": Fake(name="good"), "broken": broken}) as running:
        await until(lambda: len(running.said) > 1, "ready")
        status, body = await running.get("/health")
        assert (status, body["status"]) == (503, "failed")
        assert "no magic" in body["models"]["broken"]["error"]
        assert (await running.chat(model="good"))[0] == 200
        assert (await running.chat(model="broken"))[1]["error"]["code"] == "model_corrupt"


async def test_an_engine_that_fails_in_an_unforeseen_way_is_one_that_cannot_start(serving: Serving) -> None:
    odd = Fake(Script(start_error=KeyError("n_ctx")), name="odd")
    async with serving(engines={"odd": odd, "well": Fake(name="well")}) as running:
        await until(lambda: len(running.said) > 1 or running.task.done(), "ready")
        status, body = await running.get("/health")
        assert (status, body["models"]["odd"]["status"], body["models"]["well"]["status"]) == (503, "failed", "ready")
        assert (await running.chat(model="well"))[0] == 200


async def test_when_no_engine_starts_the_reason_is_raised(serving: Serving) -> None:
    broken = Fake(Script(start_error=EngineStartFailed(model="x", detail="no memory")), "broken")
    async with serving(engines={"broken": broken}) as running:
        with pytest.raises(EngineStartFailed, match="no memory"):
            await running.task


async def test_an_engine_that_dies_before_it_says_anything_is_a_502(serving: Serving) -> None:
    async with serving(Script(die_after=0)) as running:
        status, body = await running.chat(stream=True)
    assert (status, body["error"]["code"]) == (502, "engine_died")


@pytest.mark.parametrize("after", [1, 3])
async def test_an_engine_that_dies_in_a_stream_ends_it_with_an_error_event(serving: Serving, after: int) -> None:
    async with serving(Script(die_after=after)) as running:
        stream = await asyncio.wait_for(running.stream({"messages": [user("hi")]}), 60)
    assert "[DONE]" not in stream
    assert events(stream)[-1]["error"]["code"] == "engine_died"
    assert text_of(stream) == "".join(("Hello", ",", " world", "!")[:after])


async def test_an_engine_that_dies_before_a_whole_answer_is_a_502(serving: Serving) -> None:
    async with serving(Script(die_after=2)) as running:
        status, body = await running.chat()
    assert (status, body["error"]["code"]) == (502, "engine_died")


async def test_an_engine_that_is_gone_is_a_503(serving: Serving) -> None:
    async with serving() as running:
        assert (await running.chat())[0] == 200
        address = running.engine.address
        await running.engine.die()
        running.engine._address = address
        status, body = await running.chat()
        running.engine._address = None
    assert (status, body["error"]["code"]) == (503, "engine_unreachable")


async def test_an_engine_that_comes_back_on_another_socket_is_found(serving: Serving) -> None:
    async with serving() as running:
        assert (await running.chat())[0] == 200
        await running.engine.die()
        assert (await running.chat())[1]["error"]["code"] == "engine_loading"
        await running.engine.start()
        assert (await running.chat())[0] == 200


async def test_an_engine_error_is_ours(serving: Serving) -> None:
    async with serving(Script(status=500)) as running:
        status, body = await running.chat()
    assert (status, body["error"]["code"]) == (502, "engine_error")
    assert "scripted failure" in body["error"]["message"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_stops_the_engine(serving: Serving, stream: bool) -> None:
    async with serving(MANY) as running:
        _, writer = await running.connect()
        await ask(writer, {"messages": [user("hi")], "stream": stream})
        await until(lambda: any(one.tokens > 2 for one in running.engine.requests), "tokens")
        writer.close()
        await until(lambda: running.engine.left == 1, "the engine notices")
        assert running.engine.requests[0].tokens < 200


class Lingering(Fake):
    """Its streams are over long after their last word."""

    async def _stream(self, *given: Any) -> web.StreamResponse:
        response = await super()._stream(*given)
        await asyncio.sleep(60)
        return response


async def test_a_client_that_leaves_at_the_last_word_has_a_whole_answer(serving: Serving) -> None:
    async with serving(Lingering()) as running:
        reader, writer = await running.connect()
        await ask(writer, {"messages": [user("hi")], "stream": True, "stream_options": {"include_usage": True}})
        await asyncio.wait_for(reader.readuntil(b"[DONE]"), 30)
        writer.close()
        observed = running.gateway.house.observed
        await until(lambda: observed.in_flight.value() == 0, "the request is over")
        assert observed.requests.value("/v1/chat/completions", "fake", "200") == 1
        assert observed.tokens.value("fake", "completion") == 4


async def ask(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
    data = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    await writer.drain()


async def test_clients_opened_and_dropped_leave_nothing(serving: Serving) -> None:
    async with serving(MANY) as running:
        assert (await running.chat(max_tokens=1))[0] == 200
        before = len(asyncio.all_tasks())
        for round_number in range(4):
            writers = [(await running.connect())[1] for _ in range(50)]
            for number, writer in enumerate(writers):
                if number % 2:
                    await ask(writer, {"messages": [user("hi")], "stream": number % 4 == 1})
            await until(lambda: active(running) > 0, "requests at work")
            for writer in writers:
                writer.transport.abort()
            await until(lambda: active(running) == 0, f"round {round_number} is over")
        pool = running.gateway.house.pools["fake"]
        assert pool.queued == 0
        assert running.gateway.house.observed.in_flight.value() == 0
        await until(lambda: len(asyncio.all_tasks()) <= before, "no task is left")
        running.engine.script = Script()
        assert (await running.chat())[0] == 200


def active(running: Running) -> float:
    return running.gateway.house.pools["fake"].active


async def test_a_slow_reader_pauses_the_engine(serving: Serving) -> None:
    script = Script(tokens=("x" * 10_000,) * 3_000)  # 30 MB
    async with serving(script) as running:
        reader, writer = await running.connect()
        await ask(writer, {"messages": [user("hi")], "stream": True})
        await reader.readuntil(b"\r\n\r\n")
        stalled = 0
        while True:  # until the engine stands still
            seen = running.engine.requests[0].tokens
            await asyncio.sleep(0.1)
            stalled = stalled + 1 if running.engine.requests[0].tokens == seen else 0
            if stalled == 3:
                break
        assert running.engine.requests[0].tokens < 2_000
        read = 0
        while not (data := await reader.read(1 << 16)).endswith(b"0\r\n\r\n"):
            read += len(data)
        assert running.engine.requests[0].outcome == "done"
        assert read > 30_000_000
        writer.close()


async def test_keys_are_required_where_configured(serving: Serving) -> None:
    async with serving(options=GatewayOptions(api_keys=("right", "other"))) as running:
        status, body = await running.chat()
        assert (status, body["error"]["code"]) == (401, "invalid_api_key")
        assert body["error"]["type"] == "authentication_error"
        wrong = await running.post("/v1/chat/completions", b"no json", Authorization="Bearer wrong")
        right = await running.post("/v1/chat/completions", {"messages": [user("hi")]}, Authorization="Bearer right")
        lower = await running.get("/v1/models", authorization="bearer other")
        assert (wrong[0], right[0], lower[0]) == (401, 200, 200)
        assert (await running.get("/v1/models"))[0] == 401
        assert (await running.get("/health"))[0] == 200
        async with running.client.get("/metrics") as answer:
            assert answer.status == 401


async def test_origins_are_closed_unless_named(serving: Serving) -> None:
    async with serving() as running:
        status, body = await running.post("/v1/chat/completions", {"messages": [user("hi")]}, Origin="http://a.example")
        assert (status, body["error"]["code"]) == (403, "origin_not_allowed")
        assert running.engine.requests == []
    async with serving(options=GatewayOptions(cors=("http://a.example",))) as running:
        async with running.client.options("/v1/models", headers={"Origin": "http://a.example"}) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == "http://a.example"
            assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        async with running.client.get("/health", headers={"Origin": "http://b.example"}) as answer:
            assert answer.status == 403
            assert "Access-Control-Allow-Origin" not in answer.headers


async def test_metrics_count_what_happened(serving: Serving) -> None:
    async with serving() as running:
        await running.chat("two words")
        await running.stream({"messages": [user("hi")], "stream_options": {"include_usage": True}})
        await running.chat(model="none")
        async with running.client.get("/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            page = await answer.text()
    assert 'penjing_requests_total{route="/v1/chat/completions",model="fake",status="200"} 2' in page
    assert 'penjing_requests_total{route="/v1/chat/completions",model="",status="404"} 1' in page
    assert 'penjing_tokens_total{model="fake",kind="prompt"} 3' in page
    assert 'penjing_tokens_total{model="fake",kind="completion"} 8' in page
    assert 'penjing_time_to_first_token_seconds_count{model="fake"} 1' in page
    assert 'penjing_engine_ready{model="fake"} 1' in page
    assert "penjing_requests_in_flight 1" in page


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b"", "invalid_value", "no body"),
        (b"{bad", "invalid_value", "byte 1"),
        (b'{"messages":[{"role":"user","content":"\xff"}]}', "invalid_value", "UTF-8 (byte 39)"),
        (b"[" * 100_000, "invalid_value", ""),
        (b'{"messages":[],"model":"fake"}', "invalid_value", "messages"),
        (b'{"messages":[{"role":"user","content":"x"}],"temprature":1}', "unknown_parameter", "temperature"),
    ],
)
async def test_broken_bodies_are_400_in_openais_shape(serving: Serving, body: bytes, code: str, said: str) -> None:
    async with serving() as running:
        status, answer = await running.post("/v1/chat/completions", body)
    assert (status, answer["error"]["code"]) == (400, code)
    assert said in answer["error"]["message"]


async def test_a_prompt_of_10_mb_is_refused_without_asking_the_engine(serving: Serving) -> None:
    async with serving() as running:
        status, body = await running.chat("words " * 1_700_000)
    assert (status, body["error"]["code"]) == (400, "context_length_exceeded")
    assert running.engine.requests == []


async def test_a_body_over_the_limit_is_413(serving: Serving) -> None:
    async with serving(options=GatewayOptions(limits=Limits(body=1000))) as running:
        status, body = await running.chat("x" * 2000)
        assert (status, body["error"]["code"]) == (413, "request_too_large")
        assert (await running.chat())[0] == 200


async def test_an_engine_that_gave_up_does_not_hide_the_others(serving: Serving) -> None:
    lost = Fake(name="lost")
    async with serving(engines={"lost": Supervised(lost, Patience(restarts=0)), "well": Fake(name="well")}) as running:
        await until(lambda: len(running.said) > 1, "ready")
        await lost.die()
        await until(lambda: running.gateway.engines["lost"].state == "failed", "given up")  # type: ignore[attr-defined]
        asked = {"model": "lost", "messages": [user("hi")]}
        async with running.client.post("/v1/chat/completions", json=asked) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (503, "engine_gave_up")
            assert "Retry-After" not in answer.headers
        status, body = await running.get("/v1/models")
        assert status == 200
        assert {model["id"]: model["ready"] for model in body["data"]} == {"lost": False, "well": True}
        async with running.client.get("/metrics") as answer:
            assert answer.status == 200
        status, body = await running.get("/health")
        assert (status, body["status"]) == (503, "failed")


async def test_an_engine_that_garbles_a_stream_we_look_into(serving: Serving) -> None:
    async with serving(Script(garble_after=1)) as running:
        said = events(await running.stream({"prompt": "hi", "logprobs": 1}, "/v1/completions"))
    assert said[-1]["error"]["code"] == "engine_error"
    assert len(said) > 1
