"""API keys: who is let in, what a key may, and what it is told; over HTTP, with keys made on disk."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from gateway.running import Held, Running, Serving, eventually, finish, launch, until, user
from penjing.engines.fake import Fake, Script
from penjing.errors import AccessError
from penjing.gateway.app import Gateway
from penjing.gateway.cost import Prices
from penjing.gateway.grant import OPEN
from penjing.gateway.house import House
from penjing.gateway.keyring import ledger, live
from penjing.gateway.keyring.book import Book
from penjing.gateway.keyring.key import Rights
from penjing.gateway.keyring.ledger import this_month
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies.keys import Keys
from penjing.gateway.reply import Incoming
from penjing.plan.prices import Price

CHAT = "/v1/chat/completions"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))
    return tmp_path


def keys(*given: str) -> Keys:
    return Keys(House({}, GatewayOptions(api_keys=given)))


def carrying(header: bytes, name: bytes = b"authorization") -> Incoming:
    return Incoming("POST", "/", headers={name: header})


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def head(running: Running, secret: str, **fields: Any) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of a chat."""
    body = {"messages": [user("hi")], **fields}
    async with running.client.post(CHAT, json=body, headers=bearer(secret)) as answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.json()


def test_open_without_keys() -> None:
    assert keys().admit(Incoming("POST", "/")) is OPEN


def test_whether_anybody_may_come_in() -> None:
    assert Gateway({"fake": Fake()}).house.is_open
    Book().add("laptop", Rights())
    assert not Gateway({"fake": Fake()}).house.is_open


def test_the_name_of_a_given_key_is_not_the_key() -> None:
    both = keys("secret-one", "钥匙")
    name = both.admit(carrying(b"Bearer secret-one")).name
    assert len(name) == 8
    assert "secret" not in name
    assert both.admit(carrying("bearer  钥匙 ".encode())).name != name


@pytest.mark.parametrize(
    "header", [b"", b"secret-one", b"Basic secret-one", b"Bearer", b"Bearer ", b"Bearer secret-on"]
)
def test_anything_else_is_refused(header: bytes) -> None:
    with pytest.raises(AccessError):
        keys("secret-one").admit(carrying(header))


@pytest.mark.parametrize("header", [b"x-api-key", b"api-key"])
def test_keys_in_other_headers(header: bytes) -> None:
    secret = Book().add("laptop", Rights())[1]
    assert keys().admit(carrying(secret.encode(), header)).name == "laptop"
    assert keys("given").admit(carrying(b"given", header)).name
    with pytest.raises(AccessError):
        keys().admit(carrying(b"pj-no", header))


def test_of_two_keys_one_that_is_known_is_enough() -> None:
    secret = Book().add("laptop", Rights())[1]
    both = {b"authorization": b"Bearer EMPTY", b"x-api-key": secret.encode()}
    assert keys().admit(Incoming("POST", "/", headers=both)).name == "laptop"


def test_revoked_expired_and_rotated() -> None:
    book = Book()
    _, old = book.add("laptop", Rights(local_only=True, priority=3))
    _, new = book.rotate("laptop", timedelta(hours=1))
    grants = [keys().admit(carrying(f"Bearer {secret}".encode())) for secret in (old, new)]
    assert grants[0] == grants[1]
    assert (grants[0].local_only, grants[0].priority) == (True, 3)
    book.rotate("laptop", timedelta(0))
    with pytest.raises(AccessError):
        keys().admit(carrying(f"Bearer {new}".encode() + b"x"))
    book.revoke("laptop")
    _, gone = book.add("past", Rights(), live.utc() - timedelta(days=1))
    with pytest.raises(live.KeyExpired, match="'past' expired on"):
        keys().admit(carrying(f"Bearer {gone}".encode()))
    with pytest.raises(AccessError):  # a revoked key is the last: nobody gets in, the gateway is not open again
        keys().admit(Incoming("POST", "/"))


async def test_a_running_server_learns_of_changes(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.0)
    async with serving() as running:
        assert (await running.chat())[0] == 200
        _, secret = Book().add("first", Rights())
        assert (await running.chat())[0] == 401
        assert (await head(running, secret))[0] == 200
        async with running.client.get("/v1/models", headers=bearer(secret)) as answer:
            assert answer.status == 200
        assert (await running.get("/v1/models"))[0] == 401
        Book().revoke("first")
        status, _, body = await head(running, secret)
        assert (status, body["error"]["code"]) == (401, "invalid_api_key")
        assert "revoked" in body["error"]["message"]


async def test_a_broken_file_changes_nothing(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.0)
    _, secret = Book().add("first", Rights())
    async with serving() as running:
        (home / "keys.json").write_text("{")
        assert (await running.chat())[0] == 401
        assert (await head(running, secret))[0] == 200
        assert "cannot be read" in caplog.text
        (home / "keys.json").unlink()
        assert (await running.chat())[0] == 401
        assert (await head(running, secret))[0] == 200
    assert secret not in caplog.text


def test_a_broken_file_is_told_at_the_start(home: Path) -> None:
    (home / "keys.json").write_text('{"version": 1, "keys": [{"name": "x"}]}')
    with pytest.raises(Exception, match="not a file of API keys: Object missing required field"):
        Gateway({"fake": Fake()})
    (home / "keys.json").write_text('{"version": 9, "keys": []}')
    with pytest.raises(Exception, match="version 9, this penjing knows 1"):
        Gateway({"fake": Fake()})


async def test_models_that_a_key_may_ask(serving: Serving) -> None:
    _, secret = Book().add("shop", Rights(models=("qwen*",)))
    engines = {name: Fake(name=name) for name in ("guide", "qwen-small")}
    async with serving(engines=engines) as running:
        await until(lambda: len(running.said) > 1, "ready")
        status, _, body = await head(running, secret, model="guide")
        assert (status, body["error"]["code"]) == (403, "model_not_allowed")
        assert body["error"]["message"].endswith("It may ask: qwen*")
        assert (await head(running, secret, model="qwen-small"))[0] == 200
        assert (await head(running, secret))[0] == 200
        assert (len(engines["guide"].requests), len(engines["qwen-small"].requests)) == (0, 2)


async def test_requests_a_minute(serving: Serving) -> None:
    _, secret = Book().add("slow", Rights(requests_per_minute=2))
    async with serving() as running:
        status, said, _ = await head(running, secret)
        assert status == 200
        assert (said["x-ratelimit-limit-requests"], said["x-ratelimit-remaining-requests"]) == ("2", "1")
        assert said["x-ratelimit-reset-requests"] in ("30s", "29.999s", "29.998s")
        await head(running, secret)
        status, said, body = await head(running, secret)
        assert (status, body["error"]["code"], body["error"]["type"]) == (429, "rate_limit_exceeded", "requests")
        assert 28 <= int(said["retry-after"]) <= 30
        assert 28_000 < int(said["retry-after-ms"]) <= 30_000
        assert said["x-ratelimit-remaining-requests"] == "0"
        assert len(running.engine.requests) == 2
        assert 'penjing_key_refused_total{key="slow",code="rate_limit_exceeded"} 1' in (
            await (await running.client.get("/metrics", headers=bearer(secret))).text()
        )


async def test_tokens_a_minute_are_estimated_then_counted(serving: Serving) -> None:
    _, secret = Book().add("small", Rights(tokens_per_minute=1000))
    async with serving() as running:
        _, said, _ = await head(running, secret, max_tokens=900)
        assert int(said["x-ratelimit-remaining-tokens"]) < 100
        # the fake counted one token read and four written
        _, said, _ = await head(running, secret, max_tokens=100)
        assert int(said["x-ratelimit-remaining-tokens"]) > 850
        running.engine.script = Script(tokens=("long ",) * 2000)
        status, _, body = await head(running, secret)  # no max_tokens: it answers more than was set aside
        assert status == 200
        status, said, body = await head(running, secret)
        assert (status, body["error"]["type"]) == (429, "tokens")
        assert int(said["retry-after"]) > 60
        assert said["x-ratelimit-remaining-tokens"] == "0"


async def test_requests_at_once(serving: Serving) -> None:
    _, secret = Book().add("one", Rights(concurrency=1))
    engine = Held()
    async with serving(engine) as running:
        first = asyncio.create_task(head(running, secret))
        await until(lambda: bool(running.engine.requests), "asked")
        status, said, body = await head(running, secret)
        assert (status, said["retry-after"]) == (429, "1")
        assert "1 requests at once" in body["error"]["message"]
        engine.go_on.set()
        assert (await first)[0] == 200
        assert (await head(running, secret))[0] == 200


async def test_a_client_that_leaves_gives_its_place_back(serving: Serving) -> None:
    _, secret = Book().add("one", Rights(concurrency=1, tokens_per_minute=100_000))
    async with serving(Script(first_delay=30)) as running:
        asking = asyncio.create_task(head(running, secret))
        await until(lambda: bool(running.engine.requests), "asked")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await until(lambda: running.engine.left == 1, "left")
        running.engine.script = Script()
        status, said, _ = await head(running, secret)
        assert status == 200
        assert int(said["x-ratelimit-remaining-tokens"]) < 100_000 - 512  # and pays for its prompt
        assert int(said["x-ratelimit-remaining-tokens"]) > 99_000


async def test_a_budget_is_spent_and_kept(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = Book().add("poor", Rights(monthly_budget=0.006))
    options = GatewayOptions(prices=Prices({"fake": Price(output=1000.0)}))
    async with serving(options=options) as running:
        assert (await head(running, secret))[0] == 200  # four tokens, a tenth of a cent each
        assert running.gateway.house.spent("poor") == pytest.approx(0.004)
        assert (await head(running, secret))[0] == 200
    assert this_month()["poor"].requests == 2
    async with serving(options=options) as running:
        status, said, body = await head(running, secret)
        assert (status, body["error"]["code"], body["error"]["type"]) == (429, *("insufficient_quota",) * 2)
        assert "0.0080 of 0.006 US dollars" in body["error"]["message"]
        assert said["x-should-retry"] == "false"
        assert running.engine.requests == []
        async with openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=secret) as client:
            with pytest.raises(openai.RateLimitError, match="spent its budget"):
                await client.chat.completions.create(model="fake", messages=[{"role": "user", "content": "hi"}])
            assert running.engine.requests == []


async def test_requests_at_once_do_not_spend_a_budget_twice(serving: Serving) -> None:
    _, secret = Book().add("poor", Rights(monthly_budget=0.006))
    options = GatewayOptions(prices=Prices({"fake": Price(output=1000.0)}))
    async with serving(Script(first_delay=0.2), options) as running:
        answers = await asyncio.gather(*(head(running, secret, max_tokens=4) for _ in range(8)))
        assert sorted(status for status, _, _ in answers) == [200, 200, *[429] * 6]


async def test_what_is_used_is_written_while_running(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penjing.gateway.policies.keys.FLUSH_SECONDS", 0.05)
    _, secret = Book().add("laptop", Rights())
    async with serving() as running:
        for _ in range(3):
            await head(running, secret)
        await until(lambda: "laptop" in this_month() and this_month()["laptop"].requests == 3, "written")
        assert this_month()["laptop"] == ledger.Used(3, 3, 12)


async def test_no_key_in_errors_and_logs(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _, secret = Book().add("laptop", Rights(requests_per_minute=1))
    async with serving() as running:
        wrong = secret[:-1] + "x"
        said = [await head(running, each) for each in (secret, secret, wrong)]
        assert [status for status, _, _ in said] == [200, 429, 401]
        assert not [each for each in (secret, wrong) if each in json.dumps(said) + caplog.text]
        assert secret not in repr(running.gateway.house.options) + repr(Book().every())


async def test_what_a_local_only_key_sends_stays(serving: Serving) -> None:
    _, secret = Book().add("private", Rights(local_only=True))
    cloud = Fake(name="cloud", local=False)
    async with serving(engines={"cloud": cloud}) as running:
        await until(lambda: len(running.said) > 1, "ready")
        status, _, body = await head(running, secret)
        assert (status, body["error"]["code"]) == (403, "local_only")
        assert cloud.requests == []


async def test_sdks_wait_as_long_as_they_are_told(serving: Serving) -> None:
    _, secret = Book().add("one", Rights(concurrency=1))
    async with (
        serving(Script(first_delay=0.1)) as running,
        openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=secret, max_retries=5) as client,
    ):
        answers = await asyncio.gather(
            *(
                client.chat.completions.create(model="fake", messages=[{"role": "user", "content": "hi"}])
                for _ in range(2)
            )
        )
        assert [answer.choices[0].message.content for answer in answers] == ["Hello, world!"] * 2


async def test_anthropics_client_reads_the_refusals(serving: Serving) -> None:
    _, secret = Book().add("slow", Rights(requests_per_minute=1, models=("fake",)))
    said: list[anthropic.APIStatusError] = []
    async with serving() as running:
        for key, model in ((secret, "fake"), (secret, "fake"), (secret, "other"), ("pj-wrong", "fake")):
            async with anthropic.AsyncAnthropic(base_url=running.url, api_key=key, max_retries=0) as client:
                try:
                    await client.messages.create(
                        model=model, max_tokens=9, messages=[{"role": "user", "content": "hi"}]
                    )
                except anthropic.APIStatusError as error:
                    said.append(error)
        limited, forbidden, unknown = said
        assert isinstance(limited, anthropic.RateLimitError)
        assert int(limited.response.headers["retry-after"]) > 50
        assert isinstance(forbidden, anthropic.PermissionDeniedError)
        assert isinstance(unknown, anthropic.AuthenticationError)
        assert limited.response.json()["error"]["type"] == "rate_limit_error"
        assert len(running.engine.requests) == 1


async def test_streams_say_what_is_left_too(serving: Serving) -> None:
    _, secret = Book().add("slow", Rights(requests_per_minute=5, tokens_per_minute=10_000))
    async with serving() as running:
        body = {"messages": [user("hi")], "stream": True, "max_tokens": 100}
        async with running.client.post(CHAT, json=body, headers=bearer(secret)) as answer:
            await answer.read()
            assert answer.headers["x-ratelimit-remaining-requests"] == "4"
            assert int(answer.headers["x-ratelimit-remaining-tokens"]) < 9_900
        await until(lambda: running.gateway.house.observed.in_flight.value() == 0, "over")
        _, said, _ = await head(running, secret, max_tokens=1)
        assert int(said["x-ratelimit-remaining-tokens"]) > 9_900  # it wrote four


def test_a_real_server_learns_of_keys_and_is_killed(home: Path) -> None:
    server = launch("--parallel", "1", "--max-context", "512")
    try:

        def status(key: str) -> int:
            with openai.OpenAI(base_url=server.base, api_key=key, max_retries=0) as client:
                try:
                    client.chat.completions.create(
                        model="guide", messages=[{"role": "user", "content": "Hello"}], max_tokens=4
                    )
                except openai.APIStatusError as error:
                    return error.status_code
                return 200

        assert status("EMPTY") == 200
        _, secret = Book().add("laptop", Rights())
        eventually(lambda: status("EMPTY") == 401, "closed")
        assert status(secret) == 200
        eventually(lambda: "laptop" in this_month(), "written")
        kept = this_month()["laptop"]
        Book().revoke("laptop")
        eventually(lambda: status(secret) == 401, "revoked")
    finally:
        server.process.kill()
        finish(server)
    assert this_month()["laptop"].requests >= kept.requests >= 1
    assert not [*home.rglob("*.part")]


def test_a_real_server_with_keys(home: Path) -> None:
    _, secret = Book().add("laptop", Rights(requests_per_minute=3))
    server = launch("--parallel", "2", "--max-context", "512", "--api-key", "given")
    try:

        def ask(key: str) -> str:
            with openai.OpenAI(base_url=server.base, api_key=key, max_retries=0) as client:
                answer = client.chat.completions.create(
                    model="guide", messages=[{"role": "user", "content": "Hello"}], max_tokens=8
                )
                assert answer.usage is not None
                return str(answer.usage.total_tokens)

        tokens = ask(secret)
        ask("given")
        with pytest.raises(openai.AuthenticationError):
            ask("pj-unknown")
        with openai.OpenAI(base_url=server.base, api_key=secret, max_retries=0) as client:
            streamed = list(
                client.chat.completions.create(
                    model="guide", messages=[{"role": "user", "content": "Hello"}], max_tokens=8, stream=True
                )
            )
            assert streamed
        ask(secret)
        with pytest.raises(openai.RateLimitError) as limited:
            ask(secret)
        assert 0 < int(limited.value.response.headers["retry-after"]) <= 20
        finish(server)  # SIGTERM, before the ledger would be written by its clock
        used = this_month()["laptop"]
        assert (used.requests, used.prompt_tokens + used.completion_tokens) == (3, 3 * int(tokens))
    finally:
        if server.process.poll() is None:
            finish(server)
    assert secret not in "".join(server.lines)
