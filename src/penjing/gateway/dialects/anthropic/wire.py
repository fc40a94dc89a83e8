"""The bodies of Anthropic's Messages API as typed structures, checked by name, type and range.

Fields are those of https://docs.anthropic.com/en/api/messages and of the types of its Python SDK (2.11), as far as a
model here can do what they say; `temperature`, `top_p` and `top_k`, which newer models of Anthropic's no longer take,
are taken. A field that is not here is refused by its name: containers, MCP servers, citations, tools of Anthropic's.

Does not know: what a model can do (`openai/check`).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from penjing.gateway.dialects.openai.wire import Body, Count, Probability, Schema, Wire

Positive = Annotated[int, Meta(ge=1)]
OWN = "custom"
"""The type of the tools that clients run themselves."""


class CacheControl(Wire):
    """Where a prompt may be cached: a hint. The engine here reuses the longest common beginning by itself."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Text(Wire, tag="text"):
    text: str
    cache_control: CacheControl | None = None
    citations: None = None


class Base64(Wire, tag="base64"):
    data: str
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]


class Url(Wire, tag="url"):
    url: str


class Image(Wire, tag="image"):
    source: Base64 | Url
    cache_control: CacheControl | None = None


class Thinking(Wire, tag="thinking"):
    """`signature` says who wrote it, to Anthropic's own servers; here it is not read."""

    thinking: str
    signature: str = ""


class Caller(Wire):
    type: Literal["direct"]


class ToolUse(Wire, tag="tool_use"):
    id: str
    name: str
    input: msgspec.Raw
    cache_control: CacheControl | None = None
    caller: Caller | None = None
    toolset_name: None = None


class ToolResult(Wire, tag="tool_result"):
    tool_use_id: str
    content: str | list[Text | Image] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None
    toolset_name: None = None


Block = Text | Image | Thinking | ToolUse | ToolResult


class Message(Wire):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class Tool(Wire):
    """A tool of the client's. `eager_input_streaming` asks for what is always done here."""

    name: str
    input_schema: Schema
    description: str | None = None
    type: Literal["custom"] | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    eager_input_streaming: bool | None = None


class ChooseAuto(Wire, tag="auto"):
    disable_parallel_tool_use: bool | None = None


class ChooseAny(Wire, tag="any"):
    disable_parallel_tool_use: bool | None = None


class ChooseTool(Wire, tag="tool"):
    name: str
    disable_parallel_tool_use: bool | None = None


class ChooseNone(Wire, tag="none"):
    pass


class ThinkingEnabled(Wire, tag="enabled"):
    budget_tokens: Positive
    display: Literal["summarized", "omitted"] | None = None


class ThinkingAdaptive(Wire, tag="adaptive"):
    display: Literal["summarized", "omitted"] | None = None


class ThinkingDisabled(Wire, tag="disabled"):
    pass


class JsonFormat(Wire, tag="json_schema"):
    schema: Schema


class OutputConfig(Wire):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None


class Metadata(Wire):
    user_id: str | None = None


class Prompt(Body, kw_only=True):
    """What is read by the model: the body of POST /v1/messages/count_tokens."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    system: str | list[Text] | None = None
    tools: list[Tool] | None = None
    tool_choice: ChooseAuto | ChooseAny | ChooseTool | ChooseNone | None = None
    thinking: ThinkingEnabled | ThinkingAdaptive | ThinkingDisabled | None = None
    output_config: OutputConfig | None = None
    output_format: JsonFormat | None = None
    cache_control: CacheControl | None = None


class MessagesBody(Prompt, kw_only=True):
    """POST /v1/messages"""

    max_tokens: Positive
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Probability | None = None
    top_k: Count | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
