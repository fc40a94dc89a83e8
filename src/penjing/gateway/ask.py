"""One request for a model on its way through the policies: what a policy sees and may change.

Whatever dialect a request came in, on the way it is one JSON body in OpenAI's (the engines' own), parsed when somebody
first looks, so that a refused key costs no parsing; the internal form is built only for policies that read
conversations. Answers come back as OpenAI's bytes as well, and are turned into the client's dialect at the very end.

Does not know: engines, connections.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, cast

from msgspec import Struct

from penjing.errors import PenjingError
from penjing.gateway.dialects.openai import convert, wire
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.dialects.openai.rewrite import replaced
from penjing.gateway.grant import OPEN, Grant, stays
from penjing.gateway.reply import Headers, Incoming
from penjing.messages import Event, Request, Usage


class Writer(Protocol):
    """One answer in a client's dialect, made from OpenAI's bytes. `content_type` is that of a stream."""

    content_type: bytes

    def write(self, data: bytes) -> bytes:
        """Whole server-sent events of OpenAI's in, what the client should get now out (may be empty)."""

    def end(self) -> bytes:
        """The last bytes of a stream."""

    def failed(self, error: PenjingError) -> bytes:
        """The last bytes of a stream that cannot go on."""

    def whole(self, body: bytes) -> bytes:
        """A whole answer: OpenAI's JSON in, the client's out."""


class Question(bytes):
    """A body that says more than an engine hears. `private`: it must not leave, because something it goes on from must
    not. `context`: the longest prompt it allows, in tokens; 0 for the model's. `rest`: how many seconds after the
    answer the engine may be put to rest. `kind`: what it is where its path does not tell."""

    private: bool
    context: int
    rest: float | None
    kind: type[wire.Body] | None

    def __new__(
        cls,
        body: bytes,
        *,
        private: bool = False,
        context: int = 0,
        rest: float | None = None,
        kind: type[wire.Body] | None = None,
    ) -> Question:
        made = super().__new__(cls, body)
        made.private, made.context, made.rest, made.kind = private, context, rest, kind
        return made


class Endpoint(Protocol):
    """One path that asks a model, in one dialect. Registered in `dialects/table.py`."""

    @property
    def dialect(self) -> str:
        """`openai`, `anthropic`, `ollama` ..."""

    @property
    def path(self) -> str:
        """Where clients post to."""

    @property
    def kind(self) -> type[wire.Body]:
        """What an engine is asked for it: a chat, a completion, embeddings."""

    @property
    def body(self) -> type[Struct]:
        """What clients post: the structure that checks it, from which the OpenAPI document is made."""

    @property
    def summary(self) -> str:
        """One sentence for the OpenAPI document."""

    def asked(self, incoming: Incoming, key: str) -> bytes:
        """The question as OpenAI's body, a `Question` where it says more; `key` names who asks.
        Raises InvalidRequest, UnknownOption, Unsupported."""

    def writer(self, ask: Ask) -> Writer:
        """A new one for each answer."""

    def refusal(self, error: PenjingError) -> tuple[int, bytes]:
        """Status and JSON body of an error."""


@dataclass(frozen=True)
class Outcome:
    """How a request ended. `status` as in HTTP (499: the client left); `code` is an error's, "" when all went well.
    `model` is the engine that answered. Times in seconds; `ttft` is 0 where nothing was streamed. `cached`: an answer
    that was kept, no engine worked."""

    status: int
    code: str = ""
    model: str = ""
    usage: Usage | None = None
    seconds: float = 0.0
    ttft: float = 0.0
    cached: bool = False


class Ask:
    """A request. `key` tells who asks and what they may; `notes` become headers of the answer (`x-penjing-...`).

    `target` is the engine that shall answer, by its name here; a policy may set it. `local_only` is never taken back:
    what is sent must not leave hardware of the house (`House` refuses it).
    """

    def __init__(self, endpoint: Endpoint, incoming: Incoming) -> None:
        self.endpoint = endpoint
        self.incoming = incoming
        self.notes: dict[str, str] = {}
        self.taps: list[Callable[[bytes], None]] = []
        """Each is shown the answer in OpenAI's bytes as they leave: whole events of a stream, or the whole body."""
        self._key = OPEN
        self.cached = False
        """Whether a kept answer was given: no engine worked for it."""
        self.kind = endpoint.kind
        self.arrived = time.perf_counter()
        self.context = 0
        """The longest prompt the client allows, in tokens; 0 for the model's own."""
        self.rest: float | None = None
        """Seconds after the answer, when the engine may be put to rest; None where the client did not say."""
        self._local_only = stays(incoming)
        self._ends: list[Callable[[Outcome], None]] = []
        self._body: bytes | None = None
        self._target: str | None = None

    @property
    def key(self) -> Grant:
        return self._key

    @key.setter
    def key(self, grant: Grant) -> None:
        self._key = grant
        self._body = None  # what was kept for another key is not this one's
        self._forget()

    @property
    def body(self) -> bytes:
        """The question in OpenAI's dialect: the client's own bytes where it speaks that and nobody changed them."""
        if self._body is None:
            self._body = self.endpoint.asked(self.incoming, self.key.name)
            if isinstance(self._body, Question):
                self.context, self.rest = self._body.context, self._body.rest
                self.kind = self._body.kind or self.kind
                if self._body.private:
                    self.keep_local()
        return self._body

    @cached_property
    def wire(self) -> wire.AnyBody:
        """The checked body. Raises InvalidRequest, UnknownOption."""
        return cast(wire.AnyBody, parse(self.body, self.kind))

    @cached_property
    def request(self) -> Request | None:
        """The internal form; None for embeddings, which are no conversation."""
        body = self.wire
        return None if isinstance(body, wire.Weighing) else convert.request(body, self.body)

    def change(self, **fields: object) -> None:
        """Set top-level fields of the body (`rewrite.DROP` leaves one out); the rest stays byte for byte."""
        self._body = replaced(self.body, fields)
        self._forget()

    def _forget(self) -> None:
        """What was made of another body."""
        self.__dict__.pop("wire", None)
        self.__dict__.pop("request", None)

    def mark(self) -> Callable[[], None]:
        """What takes back all that is changed from now on, so that the question can be asked elsewhere: body, target,
        notes, taps. That it must not leave is never taken back, and who waits for the end is still told."""
        body, target, notes, taps = self._body, self._target, dict(self.notes), list(self.taps)

        def back() -> None:
            if self._body is not body:
                self.__dict__.pop("wire", None)
                self.__dict__.pop("request", None)
            self._body, self._target, self.notes, self.taps = body, target, dict(notes), list(taps)

        return back

    @property
    def parsed(self) -> bool:
        """Whether the body was looked into and is sound."""
        return "wire" in self.__dict__

    @property
    def model(self) -> str:
        """The name the client asked for; "" for the first one."""
        return self.wire.model

    @property
    def target(self) -> str:
        """The engine that shall answer."""
        return self.model if self._target is None else self._target

    @target.setter
    def target(self, name: str) -> None:
        self._target = name

    @property
    def local_only(self) -> bool:
        with suppress(PenjingError):  # what cannot be read is never sent
            _ = self.body  # which may tell that it must stay
        return self._local_only or self.key.local_only

    def keep_local(self) -> None:
        """From now on this must not leave."""
        self._local_only = True

    @property
    def stream(self) -> bool:
        return bool(getattr(self.wire, "stream", None))

    def header(self, name: bytes) -> str:
        """A header of the request (lower-case name); "" where there is none."""
        return self.incoming.headers.get(name, b"").decode("latin-1").strip()

    def note(self, name: str, value: str) -> None:
        """Tell the client `value` in the header `name` of the answer. ASCII; line breaks are not let through."""
        if not (value.isascii() and value.isprintable()):
            value = "".join(sign if " " <= sign <= "~" else "?" for sign in value)
        self.notes[name] = value

    @property
    def headers(self) -> Headers:
        """The notes as headers."""
        return tuple((name.encode(), value.encode()) for name, value in self.notes.items())

    def at_end(self, tell: Callable[[Outcome], None]) -> None:
        """`tell` is called once when the answer is over, however it ended: cheap and without waiting."""
        self._ends.append(tell)

    def ended(self, outcome: Outcome) -> None:
        """Tell everybody. For the gateway; the last to have registered hears it first."""
        while self._ends:
            self._ends.pop()(outcome)


Call = Callable[[Ask], Awaitable[AsyncIterable[Event]]]
"""What comes next: the following policy, at the end the engine."""
