"""The real clients people use against a real `penjing serve` process with a real model."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import psutil
import pytest

from gateway.running import PATIENCE, Process, engine_of, eventually, finish, launch, user, worker_socket

HELLO = [user("Hello! What is quantization?")]
WILD = {"top_k": 0, "top_p": 1, "min_p": 0}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "set_light",
        "description": "Switch a light.",
        "parameters": {
            "type": "object",
            "properties": {"state": {"type": "string", "enum": ["on", "off"]}},
            "required": ["state"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture
def client(real: Process) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=real.base, api_key="EMPTY", max_retries=0) as made:
        yield made


def test_a_conversation(client: openai.OpenAI, real: Process) -> None:
    answer = client.chat.completions.create(model=real.model, messages=HELLO, max_tokens=16)
    assert answer.choices[0].message.content
    assert answer.model == real.model
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 16


def test_a_stream_with_usage(client: openai.OpenAI, real: Process) -> None:
    options = {"include_usage": True}
    stream = client.chat.completions.create(
        model=real.model, messages=HELLO, max_tokens=16, stream=True, stream_options=options, temperature=0
    )
    chunks = list(stream)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    whole = client.chat.completions.create(model=real.model, messages=HELLO, max_tokens=16, temperature=0)
    assert said == whole.choices[0].message.content
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens <= 16
    assert not chunks[-1].choices


def test_stop_ends_the_answer(client: openai.OpenAI, real: Process) -> None:
    whole = client.chat.completions.create(model=real.model, messages=HELLO, max_tokens=32, temperature=0)
    text = whole.choices[0].message.content or ""
    stop = text[len(text) // 2 :][:2]
    cut = client.chat.completions.create(model=real.model, messages=HELLO, max_tokens=32, temperature=0, stop=[stop])
    assert cut.choices[0].message.content == text[: text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"


def test_seed_repeats(client: openai.OpenAI, real: Process) -> None:
    def draw(seed: int) -> str:
        answer = client.chat.completions.create(
            model=real.model,
            messages=HELLO,
            max_tokens=16,
            seed=seed,
            temperature=5,
            extra_body={"cache_prompt": False, **WILD},
        )
        return answer.choices[0].message.content or ""

    assert draw(7) == draw(7)
    assert draw(2**40 + 7) == draw(7)
    assert len({draw(seed) for seed in range(8, 12)}) > 1


@pytest.mark.parametrize("count", [2, 6])
def test_n_choices(client: openai.OpenAI, real: Process, count: int) -> None:
    answer = client.chat.completions.create(
        model=real.model, messages=HELLO, max_tokens=8, n=count, temperature=5, seed=1, extra_body=WILD
    )
    assert [choice.index for choice in answer.choices] == list(range(count))
    assert len({choice.message.content for choice in answer.choices}) > 1
    one = client.chat.completions.create(model=real.model, messages=HELLO, max_tokens=8)
    assert answer.usage is not None
    assert one.usage is not None
    assert answer.usage.prompt_tokens == one.usage.prompt_tokens
    assert answer.usage.completion_tokens > 8


def test_n_choices_streamed(client: openai.OpenAI, real: Process) -> None:
    stream = client.chat.completions.create(
        model=real.model, messages=HELLO, max_tokens=8, n=2, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    finished = {chunk.choices[0].index for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason}
    assert finished == {0, 1}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].usage is not None


def test_logprobs(client: openai.OpenAI, real: Process) -> None:
    answer = client.chat.completions.create(
        model=real.model, messages=HELLO, max_tokens=4, logprobs=True, top_logprobs=3
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content
    assert all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in logprobs.content)


def test_json_schema_is_kept(client: openai.OpenAI, real: Process) -> None:
    schema = {
        "type": "object",
        "properties": {"size": {"enum": [4, 8]}, "ok": {"type": "boolean"}},
        "required": ["size", "ok"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    answer = client.chat.completions.create(model=real.model, messages=HELLO, max_tokens=100, response_format=form)
    decoded = json.loads(answer.choices[0].message.content or "")
    assert decoded["size"] in (4, 8)
    assert isinstance(decoded["ok"], bool)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "set_light"}}])
def test_tools_are_called_in_streamed_deltas(client: openai.OpenAI, real: Process, choice: Any) -> None:
    stream = client.chat.completions.create(
        model=real.model,
        messages=[user("Switch the light on.")],
        tools=[TOOL],  # type: ignore[list-item]
        tool_choice=choice,
        max_tokens=200,
        stream=True,
        temperature=0,
    )
    deltas = [call for chunk in stream if chunk.choices for call in chunk.choices[0].delta.tool_calls or ()]
    assert deltas[0].id
    assert deltas[0].function is not None
    assert deltas[0].function.name == "set_light"
    arguments = "".join(delta.function.arguments or "" for delta in deltas if delta.function and delta.index == 0)
    assert json.loads(arguments)["state"] in ("on", "off")


def test_completions(client: openai.OpenAI, real: Process) -> None:
    one = client.completions.create(model=real.model, prompt="A model", max_tokens=4)
    assert one.choices[0].text
    two = client.completions.create(model=real.model, prompt=["A model", "Memory"], max_tokens=4, n=2)
    assert [choice.index for choice in two.choices] == [0, 1, 2, 3]
    odds = client.completions.create(model=real.model, prompt="A model", max_tokens=4, logprobs=2).choices[0].logprobs
    assert odds is not None
    assert odds.tokens
    assert len(odds.tokens) == len(odds.token_logprobs or ()) == len(odds.text_offset or ())
    streamed = client.completions.create(model=real.model, prompt="A model", max_tokens=4, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed if chunk.choices)


def test_embeddings_are_refused_by_a_chat_model(client: openai.OpenAI, real: Process) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=real.model, input="x")
    assert caught.value.code == "unsupported"


def test_unknown_options_are_refused_by_name(client: openai.OpenAI, real: Process) -> None:
    with pytest.raises(openai.BadRequestError, match="min_p") as caught:
        client.chat.completions.create(model=real.model, messages=HELLO, extra_body={"minp": 0.1})
    assert caught.value.code == "unknown_parameter"
    assert caught.value.param == "minp"


def test_every_sampling_option_is_taken(client: openai.OpenAI, real: Process) -> None:
    own: dict[str, Any] = {
        "top_k": 20, "min_p": 0.05, "typical_p": 0.9, "top_n_sigma": 2.0, "repeat_penalty": 1.1, "repeat_last_n": 32,
        "dynatemp_range": 0.1, "dynatemp_exponent": 1.0, "dry_multiplier": 0.5, "dry_base": 1.75,
        "dry_allowed_length": 2, "dry_penalty_last_n": 64, "dry_sequence_breakers": ["\n"], "xtc_probability": 0.1,
        "xtc_threshold": 0.2, "mirostat": 0, "mirostat_tau": 5.0, "mirostat_eta": 0.1, "min_keep": 1,
        "samplers": ["top_k", "temperature"], "cache_prompt": True, "ignore_eos": True, "n_keep": 1,
        "chat_template_kwargs": {"enable_thinking": False}, "reasoning_format": "none",
    }  # fmt: skip
    answer = client.chat.completions.create(
        model=real.model,
        messages=HELLO,
        max_completion_tokens=5,
        temperature=0.7,
        top_p=0.9,
        presence_penalty=0.1,
        frequency_penalty=0.1,
        logit_bias={"5": -100},
        user="me",
        metadata={"a": "b"},
        extra_body=own,
    )
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5


def test_a_grammar_is_kept_and_a_broken_one_refused(client: openai.OpenAI, real: Process) -> None:
    kept = client.chat.completions.create(
        model=real.model, messages=HELLO, max_tokens=8, extra_body={"grammar": 'root ::= "bonsai"'}
    )
    assert kept.choices[0].message.content == "bonsai"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=real.model, messages=HELLO, extra_body={"grammar": "root ::= ("})


@pytest.mark.parametrize("reasoning", [True, False])
def test_thinking_switches(client: openai.OpenAI, real: Process, reasoning: bool) -> None:
    answer = client.chat.completions.create(
        model=real.model,
        messages=HELLO,
        max_tokens=24,
        extra_body={"enable_thinking": False, "return_reasoning": reasoning},
    )
    assert answer.choices[0].message.content is not None
    if not reasoning:
        assert getattr(answer.choices[0].message, "reasoning_content", None) is None


def test_images_are_refused_where_there_is_no_vision(client: openai.OpenAI, real: Process) -> None:
    parts: Any = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "text", "text": "?"},
    ]
    with pytest.raises(openai.BadRequestError, match="images") as caught:
        client.chat.completions.create(model=real.model, messages=[user(parts)])
    assert caught.value.param == "messages[0].content[0]"


@pytest.mark.parametrize("words", [2_000, 2_000_000])
def test_prompts_over_the_context(client: openai.OpenAI, real: Process, words: int) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=real.model, messages=[user("words " * words)])
    assert caught.value.code == "context_length_exceeded"
    assert "1024" in str(caught.value)


def test_models_health_metrics_and_openapi(client: openai.OpenAI, real: Process) -> None:
    assert [model.id for model in client.models.list()] == [real.model]
    assert client.models.retrieve(real.model).owned_by == "penjing"
    assert httpx.get(f"{real.url}/health", timeout=PATIENCE).json()["ready"] is True
    page = httpx.get(f"{real.url}/metrics", timeout=PATIENCE).text
    resident = next(line for line in page.splitlines() if line.startswith("penjing_engine_resident_memory_bytes{"))
    assert float(resident.split()[-1]) > 1e6
    assert httpx.get(f"{real.url}/openapi.json", timeout=PATIENCE).json()["openapi"] == "3.1.0"


async def test_langchain(real: Process) -> None:
    from langchain_openai import ChatOpenAI

    async with openai.AsyncOpenAI(base_url=real.base, api_key="EMPTY") as root:
        chat = ChatOpenAI(
            model=real.model,
            base_url=real.base,
            api_key="EMPTY",  # type: ignore[arg-type]
            streaming=True,
            temperature=0,
            max_tokens=16,  # type: ignore[call-arg]
            extra_body={"enable_thinking": False, "return_reasoning": True, "top_k": 5},
            root_async_client=root,
            async_client=root.chat.completions,
        )
        whole = await chat.ainvoke("Hello!")
        pieces = [piece async for piece in chat.astream("Hello!")]
    assert whole.content
    assert "".join(str(piece.content) for piece in pieces) == whole.content


def endless(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": HELLO, "max_tokens": -1, "ignore_eos": True, "stream": True, **fields}


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_slot(real: Process, stream: bool) -> None:
    path = worker_socket(real)

    def busy() -> int:
        with httpx.Client(transport=httpx.HTTPTransport(uds=path), timeout=PATIENCE) as direct:
            slots = direct.get("http://engine/slots").json()
        return sum(slot["is_processing"] for slot in slots)

    body = endless(real.model, stream=stream)
    # A long prompt's worth of tokens is left when the client goes: nothing else could end the generation so soon.
    with httpx.Client(timeout=PATIENCE) as leaving, ThreadPoolExecutor() as other:
        asking = other.submit(leaving.post, f"{real.base}/chat/completions", json=body)
        eventually(lambda: busy() == 1, "the slot works")
        leaving.close()
        asking.exception()
    eventually(lambda: busy() == 0, "the slot is free again")


@pytest.fixture
def own() -> Iterator[Process]:
    """A real server that a test may break."""
    server = launch("--parallel", "2", "--max-context", "1024")
    yield server
    finish(server)


def test_kill_9_of_the_worker_in_mid_stream(own: Process) -> None:
    with httpx.stream("POST", f"{own.base}/chat/completions", json=endless(own.model), timeout=PATIENCE) as answer:
        lines = answer.iter_lines()
        next(lines)
        os.kill(engine_of(own).pid, signal.SIGKILL)
        rest = [line for line in lines if line]
    assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "engine_died"
    assert "data: [DONE]" not in rest
    with openai.OpenAI(base_url=own.base, api_key="EMPTY", max_retries=8) as client:
        again = client.chat.completions.create(model=own.model, messages=HELLO, max_tokens=4)
    assert again.choices[0].message.content
    assert (
        'penjing_engine_restarts_total{model="' + own.model + '"} 1'
        in httpx.get(f"{own.url}/metrics", timeout=PATIENCE).text
    )


def test_ctrl_c_drains(own: Process) -> None:
    body = endless(own.model, max_tokens=300)
    worker = engine_of(own)
    with httpx.stream("POST", f"{own.base}/chat/completions", json=body, timeout=PATIENCE) as answer:
        lines = answer.iter_lines()
        next(lines)
        own.process.send_signal(signal.SIGINT)
        eventually(lambda: any("Stopping" in line for line in own.lines), "draining is told")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{own.url}/health", timeout=PATIENCE)
        rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]"
    assert own.process.wait(PATIENCE) == 0
    assert not worker.is_running()


def test_a_second_ctrl_c_cuts(own: Process) -> None:
    with httpx.stream("POST", f"{own.base}/chat/completions", json=endless(own.model), timeout=PATIENCE) as answer:
        lines = answer.iter_lines()
        next(lines)
        own.process.send_signal(signal.SIGINT)
        eventually(lambda: any("Stopping" in line for line in own.lines), "draining is told")
        own.process.send_signal(signal.SIGINT)
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)
    assert own.process.wait(PATIENCE) == 0


async def test_200_clients_opened_and_dropped_leave_nothing(real: Process) -> None:
    server = psutil.Process(real.process.pid)
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        await client.get(f"{real.url}/health")
        before = server.num_fds()
        body = json.dumps(endless(real.model)).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        port = int(real.url.rsplit(":", 1)[1])
        writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(200)]
        for number, writer in enumerate(writers):
            if number % 3:
                writer.write(head + body)
        await asyncio.sleep(0.5)
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
        for _ in range(int(PATIENCE / 0.04)):
            page = (await client.get(f"{real.url}/metrics")).text
            if f'penjing_engine_requests_active{{model="{real.model}"}} 0' in page and server.num_fds() <= before + 4:
                break
            await asyncio.sleep(0.04)
        else:
            pytest.fail(f"{server.num_fds()} descriptors, {before} before; {page}")
        answer = await client.post(f"{real.base}/chat/completions", json={"messages": HELLO, "max_tokens": 2})
        assert answer.status_code == 200
