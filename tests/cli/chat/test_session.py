from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penjing.cli.chat.answer import ConnectionLost
from penjing.cli.chat.once import answer_once
from penjing.cli.chat.session import ChatSettings, Session
from penjing.cli.model import Chosen, Opened, open_engine
from penjing.engines.fake import Fake, Script
from penjing.engines.llamacpp import EngineOptions
from penjing.errors import EngineDied, PenjingError, SettingError
from penjing.messages import Delta
from penjing.operate.supervise import Patience, Supervised

QUICK = Patience(restarts=2, delay=0.01)


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    engine = Fake(Script(tokens=("a", "b", "c")))
    yield engine
    await engine.stop()


@pytest.fixture
async def session(fake: Fake) -> AsyncIterator[Session]:
    """A conversation with a supervised engine that is taken for one of ours."""
    supervised = Supervised(fake, QUICK)
    await supervised.start()
    yield Session(Opened(supervised, Chosen("fake.gguf"), Path("fake.gguf")), ChatSettings())
    await supervised.stop()


def ignore(delta: Delta) -> None:
    """Nobody listens."""


async def test_question_and_answer_are_kept(session: Session, fake: Fake) -> None:
    session.conversation.add("user", "hi")
    heard: list[str] = []
    answer = await session.answer(lambda delta: heard.append(delta.text))
    assert heard == ["a", "b", "c"]
    assert answer.text == "abc"
    assert answer.finish == "stop"
    session.conversation.add("user", "more")
    await session.answer(ignore)
    assert [turn["content"] for turn in fake.requests[1].body["messages"]] == ["hi", "abc", "more"]


async def test_settings_reach_the_engine(fake: Fake) -> None:
    await fake.start()
    settings = ChatSettings(system="s", temperature=0.5, top_k=3, seed=7, max_tokens=9, think=True)
    session = Session(Opened(fake, Chosen("http://x")), settings)
    session.conversation.add("user", "hi")
    await session.answer(ignore)
    body = fake.requests[0].body
    assert body["messages"][0] == {"role": "system", "content": "s"}
    assert (body["temperature"], body["top_k"], body["seed"], body["max_tokens"]) == (0.5, 3, 7, 9)
    assert body["chat_template_kwargs"] == {"enable_thinking": True}
    assert "top_p" not in body


async def test_what_was_stopped_is_kept(session: Session, fake: Fake) -> None:
    fake.script = Script(tokens=("x",) * 1000, delay=0.01)
    session.conversation.add("user", "hi")
    begun = asyncio.Event()
    task = asyncio.create_task(session.answer(lambda delta: begun.set()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert session.conversation.messages[-1].role == "assistant"
    assert session.conversation.messages[-1].text.startswith("x")


async def test_an_engine_that_dies_is_said_to_have_died_and_comes_back(session: Session, fake: Fake) -> None:
    fake.script = Script(tokens=("x",) * 1000, delay=0.01)
    session.conversation.add("user", "hi")
    begun = asyncio.Event()
    task = asyncio.create_task(session.answer(lambda delta: begun.set()))
    await begun.wait()
    await fake.die()
    with pytest.raises(EngineDied, match="killed by SIGKILL"):
        await task
    assert [message.role for message in session.conversation.messages] == ["user"]
    await session.back()
    fake.script = Script(tokens=("again",))
    assert (await session.answer(ignore)).text == "again"


async def test_an_engine_that_is_given_up_is_not_waited_for(session: Session, fake: Fake) -> None:
    fake.script = Script(start_error=PenjingError(detail="broken"))
    await fake.die()
    with pytest.raises(PenjingError, match="is not started again"):
        await asyncio.wait_for(session.back(), 30)


async def test_another_server_that_breaks_off_has_not_died(fake: Fake) -> None:
    await fake.start()
    fake.script = Script(die_after=1)
    session = Session(Opened(fake, Chosen("http://x")), ChatSettings())
    session.conversation.add("user", "hi")
    with pytest.raises(ConnectionLost):
        await session.answer(ignore)
    await session.back()


async def test_one_answer_as_text(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    await answer_once(session, "hi", as_json=False)
    assert capsys.readouterr().out == "abc\n"


async def test_one_answer_as_json(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    await answer_once(session, "hi", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["answer"] == "abc"
    assert found["usage"]["completion_tokens"] == 3
    assert found["tokens_per_second"] > 0


async def test_one_answer_is_asked_again_where_nothing_was_printed(
    session: Session, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.script = Script(first_delay=5)
    asking = asyncio.create_task(answer_once(session, "hi", as_json=False))
    for _ in range(500):
        if not fake.requests:
            await asyncio.sleep(0.01)
    fake.script = Script(tokens=("second",))
    await fake.die()
    await asking
    shown = capsys.readouterr()
    assert shown.out == "second\n"
    assert "Asking again." in shown.err


async def test_a_model_takes_over_only_when_it_starts(session: Session, fake: Fake) -> None:
    broken = Fake(Script(start_error=PenjingError(detail="no")), name="broken")
    with pytest.raises(PenjingError, match="no"):
        await session.switch(Opened(broken, Chosen("http://y")))
    assert session.engine.name == "fake"
    other = Fake(name="other")
    await session.switch(Opened(other, Chosen("http://y")))
    assert session.engine.name == "other"
    assert not await fake.ready()
    await other.stop()


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k", "max_tokens"])
def test_sampling_out_of_range_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match=name):
        ChatSettings(**{name: -1})


def test_a_conversion_is_stopped_from_outside_and_leaves_nothing(clean: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(KeyboardInterrupt):
        open_engine(Chosen(bits=4), EngineOptions(), stop=stop)
    assert [path.suffix for path in clean.rglob("*") if path.is_file()] == [".lock"]
