"""The one internal form of a conversation: what every dialect is converted to and from.

A `Request` goes in, `Event`s come out. Values are immutable and carry no wire details, except that a request keeps
the bytes it came as (`Wire`), so that a gateway whose two ends speak the same dialect passes them on untouched.

Does not know: HTTP, JSON field names of any dialect, engines.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error"]


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of all values here: immutable, compared by content, defaults left out when encoded."""


class Text(Value, tag="text", frozen=True):
    """A run of text, exactly as given: tags inside it are content, never markup."""

    text: str


class Image(Value, tag="image", frozen=True):
    """An image: its bytes with their media type, or the URL it was named by."""

    data: bytes = b""
    media_type: str = ""
    url: str = ""
    detail: str = ""


class Audio(Value, tag="audio", frozen=True):
    """A piece of sound: its bytes and their format (`wav`, `mp3`)."""

    data: bytes
    format: str


Part = Text | Image | Audio


class ToolCall(Value, frozen=True):
    """The model asks for a tool. `arguments` is the JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


class Tool(Value, frozen=True):
    """A tool the model may ask for. `parameters` is a JSON schema."""

    name: str
    description: str = ""
    parameters: dict[str, object] = {}
    strict: bool = False


class Message(Value, frozen=True):
    """One turn. `parts` keep their order. A tool's answer names its call in `tool_call_id`."""

    role: Role
    parts: tuple[Part, ...] = ()
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""

    @property
    def text(self) -> str:
        """All text parts joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


class Sampling(Value, frozen=True):
    """How tokens are drawn. None leaves the engine's own default. Probabilities in [0, 1], penalties as in the
    OpenAI API reference; `extra` holds the engine's own options (min_p, mirostat, grammar ...), checked by name."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: int | None = None
    logit_bias: dict[str, float] = {}
    extra: dict[str, object] = {}


class Wire(Value, frozen=True):
    """The bytes a request came as, and the dialect they are in (`openai`, `anthropic`, ...)."""

    dialect: str
    body: bytes


class Request(Value, frozen=True):
    """A conversation to be continued (`messages`), or a bare text to be continued (`prompt`)."""

    model: str
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    parallel_tool_calls: bool | None = None
    schema: dict[str, object] | None = None
    """JSON schema the answer must satisfy; `{}` for any JSON object; None for free text."""
    sampling: Sampling = Sampling()
    choices: int = 1
    stream: bool = False
    include_usage: bool = False
    thinking: bool | None = None
    """The chat template's `enable_thinking` switch; None leaves the template's default."""
    return_reasoning: bool | None = None
    """True: reasoning comes apart from the content. False: it is left out. None: the engine's default."""
    user: str = ""
    wire: Wire | None = None


class ToolPiece(Value, frozen=True):
    """More of the call at `index` (0-based) of an answer: the first piece has its id and name, `arguments` grow."""

    index: int = 0
    id: str = ""
    name: str = ""
    arguments: str = ""


class Delta(Value, tag="delta", frozen=True):
    """More of answer `index` (0-based)."""

    index: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolPiece, ...] = ()


class Finish(Value, tag="finish", frozen=True):
    """Answer `index` is complete. `stop`: the stop sequence that ended it, where the engine tells."""

    index: int = 0
    reason: FinishReason = "stop"
    stop: str = ""


class Usage(Value, tag="usage", frozen=True):
    """Token counts of the whole request; `cached_tokens` of the prompt came from the KV cache."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


class Chunk(Value, tag="chunk", frozen=True):
    """Bytes in the request's own dialect, to be passed on untouched."""

    body: bytes


class Failure(Value, tag="failure", frozen=True):
    """The answer ends here with an error. `code` and `kind` as in `penjing.errors`."""

    code: str
    kind: str
    status: int
    message: str


class Choice(Value, frozen=True):
    """One whole answer. `stop` as in `Finish`."""

    message: Message
    index: int = 0
    reason: FinishReason = "stop"
    stop: str = ""


class Completion(Value, frozen=True):
    """All that a request was answered with, when it is not streamed. `model` is the one that answered."""

    model: str = ""
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None


Event = Delta | Finish | Usage | Chunk | Failure
