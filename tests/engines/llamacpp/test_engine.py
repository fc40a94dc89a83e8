"""The real library, loaded by a real worker: llama.cpp's own server, and penjing's scheduler in its place."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from engines.clients import answer, connected, until
from penjing.engines.llamacpp import EngineOptions, LlamaCpp, engine, process
from penjing.engines.llamacpp.options import SCHEDULERS
from penjing.errors import EngineLoading, EngineStartFailed, ModelCorrupt, ModelNotFound, ModelTooBig
from penjing.probe import machine
from tiny_lora import write_tiny_lora
from tiny_model import Shape, write_tiny_gguf

HELLO = [{"role": "user", "content": "hello there, my friend, how are you today?"}]


Running = Callable[..., AbstractAsyncContextManager[tuple[LlamaCpp, aiohttp.ClientSession]]]


@asynccontextmanager
async def started(model: Path, **options: Any) -> AsyncIterator[tuple[LlamaCpp, aiohttp.ClientSession]]:
    one = LlamaCpp(model, "tiny", EngineOptions(**options))
    await one.start()
    try:
        async with connected(one.address) as client:
            yield one, client
    finally:
        await one.stop()


@pytest.fixture(params=SCHEDULERS)
def running(request: pytest.FixtureRequest) -> Running:
    """Gives a started engine and a client of it."""
    return partial(started, scheduler=request.param)


@pytest.fixture(params=[SCHEDULERS[0], pytest.param(SCHEDULERS[1], marks=pytest.mark.extras)])  # many workers' starts
def process_of(request: pytest.FixtureRequest) -> Running:
    """As `running`, for what the worker's process does more than for what it says."""
    return partial(started, scheduler=request.param)


async def slots(client: aiohttp.ClientSession) -> list[bool]:
    async with client.get("/slots") as response:
        return [slot["is_processing"] for slot in await response.json()]


async def test_life(tiny: Path) -> None:
    one = LlamaCpp(tiny, "tiny", EngineOptions(parallel=2))
    with pytest.raises(EngineLoading):
        _ = one.address
    assert not await one.ready()
    await one.start()
    await one.start()  # nothing to do
    folder, pid = Path(one.address.socket).parent, one.pid
    assert await one.ready()
    assert one.progress.fraction == 1
    assert (one.capabilities.context, one.capabilities.slots) == (512, 2)
    assert one.log is not None
    assert "model loaded" in one.log.read_text()
    await one.stop()
    await one.stop()
    assert not psutil.pid_exists(pid)
    assert not folder.exists()
    assert not await one.ready()
    with pytest.raises(EngineLoading):
        _ = one.capabilities
    await one.start()  # and again
    assert await one.ready()
    await one.stop()


async def test_it_answers_under_its_served_name(process_of: Running, guide: Path) -> None:
    async with process_of(guide) as (_, client):
        said = await answer(client, messages=[{"role": "user", "content": "What is a KV cache?"}], temperature=0)
        assert said["model"] == "tiny"
        assert len(said["choices"][0]["message"]["content"]) > 20


async def test_a_shared_beginning_is_not_read_again(running: Running, tiny: Path) -> None:
    async with running(tiny) as (_, client):
        first = await answer(client, messages=HELLO, max_tokens=1)
        again = await answer(client, messages=HELLO, max_tokens=1)
        prompt = first["usage"]["prompt_tokens"]
        assert first["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
        assert again["usage"]["prompt_tokens_details"]["cached_tokens"] >= prompt - 1


async def test_a_conversation_survives_others_in_its_slot(process_of: Running, tiny: Path) -> None:
    async with process_of(tiny, parallel=1) as (one, client):
        assert one.derived is not None
        assert one.derived.settings.cache_ram > 0
        others = [{"role": "user", "content": "Something else entirely, and rather longer than a greeting."}]
        first = await answer(client, messages=HELLO, max_tokens=1)
        await answer(client, messages=others, max_tokens=1)
        again = await answer(client, messages=HELLO, max_tokens=1)
        cached = again["usage"]["prompt_tokens_details"]["cached_tokens"]
        assert cached >= first["usage"]["prompt_tokens"] - 1


async def test_two_conversations_at_once(process_of: Running, slow: Path) -> None:
    async with process_of(slow, parallel=2) as (_, client):
        asked = [asyncio.create_task(answer(client, messages=HELLO, max_tokens=60, ignore_eos=True)) for _ in "ab"]
        await until(lambda: slots(client), all)
        for said in await asyncio.gather(*asked):
            assert said["usage"]["completion_tokens"] == 60


async def test_a_reader_who_leaves_frees_the_slot(running: Running, slow: Path) -> None:
    async with running(slow, parallel=1) as (_, client):
        body = {"messages": HELLO, "max_tokens": 4000, "ignore_eos": True, "stream": True}
        async with client.post("/v1/chat/completions", json=body) as response:
            await response.content.readline()
            assert any(await slots(client))
        await until(lambda: slots(client), lambda busy: not any(busy))


async def test_a_caller_who_leaves_before_the_whole_answer_frees_the_slot(running: Running, slow: Path) -> None:
    async with running(slow, parallel=1) as (_, client):
        task = asyncio.create_task(answer(client, messages=HELLO, max_tokens=4000, ignore_eos=True))
        await until(lambda: slots(client), any)
        task.cancel()
        # llama.cpp looks after a second in which no request got an answer, so ask seldom.
        await until(lambda: slots(client), lambda busy: not any(busy), every=2.5)


async def test_json_schema_binds_even_random_weights(running: Running, tiny: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"size": {"type": "integer"}, "kind": {"enum": ["pine", "maple"]}},
        "required": ["size", "kind"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "tree", "schema": schema}}
    async with running(tiny) as (_, client):
        said = await answer(client, messages=HELLO, max_tokens=200, response_format=form, seed=1)
        tree = json.loads(said["choices"][0]["message"]["content"])
        assert tree["kind"] in ("pine", "maple")
        assert isinstance(tree["size"], int)


async def test_a_context_that_is_full_is_told(running: Running, tiny: Path) -> None:
    async with (
        running(tiny, max_context=256) as (_, client),
        client.post("/v1/completions", json={"prompt": "a" * 300}) as response,
    ):
        error = (await response.json())["error"]
        assert (response.status, error["type"]) == (400, "exceed_context_size_error")
        assert (error["n_prompt_tokens"], error["n_ctx"]) == (300, 256)


async def test_rope_scale_doubles_the_context(process_of: Running, tiny: Path) -> None:
    async with process_of(tiny, rope_scale=2, parallel=1) as (one, client):
        assert one.capabilities.context == 1024
        async with client.post("/v1/completions", json={"prompt": "a" * 700, "max_tokens": 1}) as response:
            assert (await response.json())["usage"]["prompt_tokens"] == 700


async def test_embeddings_and_chat_from_one_worker(running: Running, tiny: Path) -> None:
    async with running(tiny, embeddings=True) as (one, client):
        assert one.capabilities.embeddings
        async with client.post("/v1/embeddings", json={"input": ["a b", "c" * 300]}) as response:
            data = (await response.json())["data"]
        assert [len(entry["embedding"]) for entry in data] == [64, 64]
        assert data[0]["embedding"] != data[1]["embedding"]
        assert (await answer(client, messages=HELLO, max_tokens=3))["choices"]


async def test_an_adapter_changes_what_is_said(running: Running, tiny: Path, tmp_path: Path) -> None:
    adapter = write_tiny_lora(tmp_path / "lora.gguf", scale=3.0)
    greedy = {"messages": HELLO, "max_tokens": 30, "temperature": 0, "ignore_eos": True}
    said = []
    for lora in ((), (str(adapter),), (f"{adapter}=0.0",)):
        async with running(tiny, lora=lora) as (_, client):
            said.append((await answer(client, **greedy))["choices"][0]["message"]["content"])
    assert said[0] == said[2] != said[1]


@pytest.mark.parametrize(
    "options",
    [
        {"kv_type": "f32"},
        {"kv_type": "bf16", "flash_attention": False},
        {"flash_attention": True, "batch": 64, "ubatch": 32},
        {"mmap": False, "threads": 1, "log_level": "debug"},
        {"device": "cpu", "log_level": "error"},
    ],
)
async def test_every_option_reaches_a_worker_that_answers(
    process_of: Running, tiny: Path, options: dict[str, Any]
) -> None:
    async with process_of(tiny, **options) as (_, client):
        assert (await answer(client, messages=HELLO, max_tokens=2))["usage"]["completion_tokens"] <= 2


async def test_quantized_cache(process_of: Running, tmp_path: Path) -> None:
    model = write_tiny_gguf(tmp_path / "wide.gguf", Shape(width=128))
    async with process_of(model, kv_type="q8_0") as (_, client):
        assert (await answer(client, messages=HELLO, max_tokens=2))["choices"]


async def test_mapped_and_resident_memory(process_of: Running, slow: Path) -> None:
    async with process_of(slow) as (one, client):
        await answer(client, messages=HELLO, max_tokens=1)
        weight = await one.footprint()
    size = slow.stat().st_size
    assert size * 0.99 < weight.mapped <= size + 4096
    assert size * 0.9 < weight.mapped_resident <= weight.mapped
    assert weight.resident > weight.mapped_resident
    assert 0 < weight.private < weight.resident
    assert (await one.footprint()).resident == 0


async def test_ended_tells_of_a_kill(process_of: Running, tiny: Path) -> None:
    async with process_of(tiny) as (one, _):
        waiting = asyncio.create_task(one.ended())
        os.kill(one.pid, signal.SIGKILL)
        assert await waiting == "killed by SIGKILL"
        assert not await one.ready()


async def test_ended_stays_silent_about_stop(tiny: Path) -> None:
    one = LlamaCpp(tiny, "tiny")
    await one.start()
    waiting = asyncio.create_task(one.ended())
    await asyncio.sleep(0)
    await one.stop()
    done, _ = await asyncio.wait({waiting}, timeout=0.2)
    assert not done
    waiting.cancel()


async def test_stop_does_not_wait_for_an_answer(
    process_of: Running, slow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE", 3600)  # a worker that ignores SIGTERM would keep this test for ever
    async with process_of(slow) as (one, client):
        asked = asyncio.create_task(answer(client, messages=HELLO, max_tokens=4000, ignore_eos=True))
        await until(lambda: slots(client), any)
        await one.stop()
        with pytest.raises(aiohttp.ClientError):
            await asked


def no_worker_is_left() -> None:
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if "llamacpp.worker" in " ".join(child.cmdline())]


async def test_a_damaged_file_is_refused_before_anything_starts(tiny: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny.read_bytes()[:-1000])
    with pytest.raises(ModelCorrupt):
        await LlamaCpp(cut, "cut").start()
    with pytest.raises(ModelNotFound):
        await LlamaCpp(tmp_path / "absent.gguf", "absent").start()
    with pytest.raises(ModelNotFound):
        await LlamaCpp(tiny, "tiny", EngineOptions(lora=("absent.gguf",))).start()
    no_worker_is_left()


async def test_what_only_the_library_can_see_is_told_in_its_words(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "odd.gguf")
    path.write_bytes(path.read_bytes().replace(b"output_norm.weight", b"output_morn.weight"))
    one = LlamaCpp(path, "odd")
    with pytest.raises(EngineStartFailed, match=r"'output_norm.weight' not found"):
        await one.start()
    no_worker_is_left()
    assert not await one.ready()


async def test_too_big_is_told_before_loading(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.cgroup, "read", lambda reading: machine.cgroup.Limits(memory=1 << 20))
    with pytest.raises(ModelTooBig, match="is free"):
        await LlamaCpp(tiny, "tiny").start()
    no_worker_is_left()


async def test_a_start_that_is_given_up_leaves_no_worker(slow: Path) -> None:
    one = LlamaCpp(slow, "slow")
    task = asyncio.create_task(one.start())
    while not one.pid:
        await asyncio.sleep(0.001)
    pid = one.pid
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(pid)


async def test_a_worker_killed_while_loading_is_a_failed_start(slow: Path) -> None:
    one = LlamaCpp(slow, "slow")
    task = asyncio.create_task(one.start())
    while not one.pid:
        await asyncio.sleep(0.001)
    os.kill(one.pid, signal.SIGKILL)
    with pytest.raises(EngineStartFailed, match="SIGKILL"):
        await task


async def test_a_worker_on_a_port_answers_only_to_its_key(
    process_of: Running, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "UNIX_SOCKETS", False)
    async with process_of(tiny) as (one, client):
        place = one.address
        assert not place.socket
        assert place.headers["Authorization"] not in repr(place)
        assert (await answer(client, messages=HELLO, max_tokens=1))["choices"]
        assert await one.ready()
        async with aiohttp.ClientSession() as stranger, stranger.get(place.url + "/slots") as response:
            assert response.status == 401
