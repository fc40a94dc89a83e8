"""Long conversations before a real engine with the guide: its own tokenizer counts, its own words are the summary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from gateway.running import Process, finish, launch

TURNS = 40
QUESTION = "What is quantization?"


@pytest.fixture(scope="module")
def small() -> Iterator[Process]:
    server = launch("--parallel", "1", "--max-context", "512")
    yield server
    finish(server)


def client(server: Process) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="EMPTY", max_retries=0)


def long_talk(turns: int = TURNS, question: str = QUESTION) -> list[ChatCompletionMessageParam]:
    talk: list[ChatCompletionMessageParam] = [{"role": "system", "content": "You are the guide."}]
    for turn in range(turns):
        talk.append({"role": "user", "content": f"Question {turn}: how much memory has a phone with 8 GB?"})
        talk.append({"role": "assistant", "content": f"Answer {turn}: it has 8 GB of memory."})
    return [*talk, {"role": "user", "content": question}]


def asked(server: Process, mode: str, messages: Any, **more: Any) -> tuple[Any, dict[str, str]]:
    said = client(server).chat.completions.with_raw_response.create(
        model="guide",
        messages=messages,
        max_tokens=48,
        temperature=0,
        extra_headers={"x-penjing-context": mode},
        **more,
    )
    return said.parse(), dict(said.headers)


def test_an_error_where_nothing_was_asked_for(small: Process) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client(small).chat.completions.create(model="guide", messages=long_talk())
    assert refused.value.code == "context_length_exceeded"


def test_truncated_says_so_and_answers_the_question(small: Process) -> None:
    answer, headers = asked(small, "truncate", long_talk())
    assert "bits" in answer.choices[0].message.content
    assert headers["x-penjing-context"].startswith("truncated; messages=")
    assert answer.usage.prompt_tokens <= 512 - 48


def test_no_more_is_left_out_than_must_be(small: Process) -> None:
    _, headers = asked(small, "truncate", long_talk())
    left_out = int(headers["x-penjing-context"].rpartition("=")[2])
    fewer = [message for place, message in enumerate(long_talk()) if place == 0 or place > left_out - 2]
    _, headers = asked(small, "truncate", fewer)
    assert headers["x-penjing-context"] == "truncated; messages=2"
    _, headers = asked(small, "truncate", [fewer[0], *fewer[3:]])
    assert "x-penjing-context" not in headers


def test_summed_up_once_and_used_again(small: Process) -> None:
    talk = long_talk()
    answer, headers = asked(small, "summarize", talk)
    assert headers["x-penjing-context"].startswith("summarized; messages=")
    first = int(headers["x-penjing-context"].rpartition("=")[2])
    assert answer.choices[0].message.content
    goes_on: list[Any] = [*talk, {"role": "assistant", "content": "Fewer bits."}, {"role": "user", "content": QUESTION}]
    _, headers = asked(small, "summarize", goes_on)
    assert int(headers["x-penjing-context"].rpartition("=")[2]) == first  # the same summary, so the same turns


def test_a_question_that_is_too_long_by_itself_is_refused(small: Process) -> None:
    with pytest.raises(openai.BadRequestError, match="Without its older turns") as refused:
        asked(small, "truncate", long_talk(2, "again and " * 1000))
    assert refused.value.code == "context_length_exceeded"


def test_what_fits_is_not_touched(small: Process) -> None:
    for mode in ("truncate", "summarize"):
        _, headers = asked(small, mode, long_talk(1))
        assert "x-penjing-context" not in headers


def test_unknown_words_are_refused(small: Process) -> None:
    with pytest.raises(openai.BadRequestError, match="forget"):
        asked(small, "forget", long_talk(1))
    with pytest.raises(openai.BadRequestError, match="nobody"):
        client(small).chat.completions.create(
            model="guide", messages=long_talk(1), extra_headers={"x-penjing-preset": "nobody"}
        )
