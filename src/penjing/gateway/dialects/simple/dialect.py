"""`POST /chat {"prompt": ..., "max_length": ...}` answers `{"response": ...}`.

With `history`, pairs of questions and answers, the answer brings the longer history back, and the status and time that
clients of ChatGLM's api.py read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from penjing.errors import PenjingError
from penjing.gateway.ask import Ask
from penjing.gateway.dialects.dialect import Dialect
from penjing.gateway.dialects.openai.body import body as canonical
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.dialects.openai.wire import Body, ChatBody, Probability
from penjing.gateway.dialects.translate import Translator
from penjing.gateway.reply import Incoming
from penjing.messages import Completion, Delta, Finish, Message, Request, Sampling, Text, Usage


class Asked(Body, kw_only=True):
    """POST /chat. `max_length` is the longest answer, in tokens."""

    prompt: str
    max_length: Annotated[int, Meta(ge=1)] | None = None
    history: list[tuple[str, str]] | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Probability | None = None
    stream: bool | None = None


@dataclass(frozen=True)
class Chat:
    """The one path."""

    path: str = "/chat"
    dialect: str = "simple"
    kind: type[Body] = ChatBody
    body: type[Asked] = Asked
    summary: str = "Ask a question: a prompt in, an answer out."

    def asked(self, incoming: Incoming, key: str) -> bytes:
        return canonical(request(parse(incoming.body, Asked)))

    def writer(self, ask: Ask) -> Writer:
        return Writer(parse(ask.incoming.body, Asked))

    def refusal(self, error: PenjingError) -> tuple[int, bytes]:
        return refusal(error)


def request(asked: Asked) -> Request:
    """The internal form."""
    return Request(
        model=asked.model,
        messages=tuple(_messages(asked)),
        sampling=Sampling(temperature=asked.temperature, top_p=asked.top_p, max_tokens=asked.max_length),
        stream=bool(asked.stream),
    )


def _messages(asked: Asked) -> Iterator[Message]:
    for question, answer in asked.history or ():
        yield Message(role="user", parts=(Text(text=question),))
        yield Message(role="assistant", parts=(Text(text=answer),))
    yield Message(role="user", parts=(Text(text=asked.prompt),))


class Writer(Translator):
    """A stream is one JSON object a line, each with a piece of the response; the last one has `done`."""

    content_type = b"application/x-ndjson"

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def event(self, event: Delta | Finish | Usage) -> bytes:
        return _line({"response": event.text}) if isinstance(event, Delta) and event.text else b""

    def end(self) -> bytes:
        return _line({"response": "", "done": True})

    def failed(self, error: PenjingError) -> bytes:
        return refusal(error)[1] + b"\n"

    def completion(self, completion: Completion) -> bytes:
        text = completion.choices[0].message.text if completion.choices else ""
        said: dict[str, object] = {"response": text}
        if self._asked.history is not None:
            said["history"] = [*self._asked.history, (self._asked.prompt, text)]
            said |= {"status": 200, "time": time.strftime("%Y-%m-%d %H:%M:%S")}
        return msgspec.json.encode(said)


def _line(said: dict[str, object]) -> bytes:
    return msgspec.json.encode(said) + b"\n"


def refusal(error: PenjingError) -> tuple[int, bytes]:
    """Status and body of an error."""
    message = " ".join(filter(None, (error.message("en"), error.advice("en"))))
    return error.status, msgspec.json.encode({"error": message})


DIALECT = Dialect("simple", refusal, (Chat(),))
