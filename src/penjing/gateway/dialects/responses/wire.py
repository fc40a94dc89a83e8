"""The bodies of OpenAI's Responses API as typed structures, checked by name, type and range.

Fields are those of https://platform.openai.com/docs/api-reference/responses and of the types of its Python SDK (3.52),
as far as a model here can do what they say. A field that is not here is refused by its name: conversations, prompt
templates, tools that OpenAI runs.

Does not know: what a model can do (`openai/check`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from penjing.gateway.dialects.openai.wire import Body, Probability, Schema, Wire

OWN = "function"
"""The type of the tools that clients run themselves."""
Positive = Annotated[int, Meta(ge=1)]
Status = Literal["in_progress", "completed", "incomplete"]
ItemType = Literal["message", "function_call", "function_call_output", "reasoning", "item_reference"]


class InputText(Wire, tag="input_text"):
    text: str


class InputImage(Wire, tag="input_image"):
    image_url: str
    detail: Literal["auto", "low", "high"] | None = None
    file_id: None = None


class OutputText(Wire, tag="output_text"):
    """What a model said. `annotations` and `logprobs` come back from earlier answers and are let pass."""

    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class Refusal(Wire, tag="refusal"):
    refusal: str


class ReasoningText(Wire, tag="reasoning_text"):
    text: str


class SummaryText(Wire, tag="summary_text"):
    text: str


Content = InputText | InputImage | OutputText | Refusal | ReasoningText


class Caller(Wire):
    type: Literal["direct"]


class Item(Wire, kw_only=True):
    """One thing said, of any type: the types share fields, and a message need not say its type. `items` refuses
    fields that are not of the item's type. What is in `encrypted_content` only OpenAI's servers can read; beside
    thoughts in clear it is let pass."""

    type: ItemType | None = None
    id: str | None = None
    status: Status | None = None
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | list[Content] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[InputText | InputImage] | None = None
    summary: list[SummaryText] | None = None
    encrypted_content: str | None = None
    caller: Caller | None = None
    namespace: None = None
    phase: None = None
    created_by: None = None
    asynchronous: None = msgspec.field(default=None, name="async")


class Function(Wire, tag="function"):
    name: str
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class NamedFunction(Wire, tag="function"):
    name: str


class AllowedTools(Wire, tag="allowed_tools"):
    mode: Literal["auto", "required"]
    tools: list[NamedFunction]


class TextFormat(Wire, tag="text"):
    pass


class ObjectFormat(Wire, tag="json_object"):
    pass


class SchemaFormat(Wire, tag="json_schema"):
    name: str
    schema: Schema
    description: str | None = None
    strict: bool | None = None


class TextConfig(Wire):
    format: TextFormat | ObjectFormat | SchemaFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Reasoning(Wire):
    """`summary`: nobody sums thoughts up here, so they come whole in its place."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class StreamOptions(Wire):
    include_obfuscation: bool | None = None


class Asked(Body, kw_only=True):
    """What is read by the model: the body of POST /v1/responses/input_tokens."""

    input: str | list[Item] = ""
    instructions: str | None = None
    previous_response_id: str | None = None
    tools: list[Function] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedFunction | AllowedTools | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    text: TextConfig | None = None
    truncation: Literal["auto", "disabled"] | None = None


class ResponsesBody(Asked, kw_only=True):
    """POST /v1/responses"""

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    store: bool | None = None
    background: bool | None = None
    include: list[Literal["reasoning.encrypted_content", "message.input_image.image_url"]] | None = None
    max_output_tokens: Positive | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Probability | None = None
    # Hints and labels: nothing in the answer may depend on them, so they are taken and not used.
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
