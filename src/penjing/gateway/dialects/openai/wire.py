"""The bodies of OpenAI's API as typed structures: what a client may send, checked by name, type and range.

Fields are those of https://platform.openai.com/docs/api-reference (chat, completions, embeddings) and of llama.cpp's
server (tools/server/README.md), plus `enable_thinking`, `return_reasoning` and names of adapters in `lora`. A field
that is not here is refused. What is in a JSON schema is the engine's to judge.

Does not know: what a model can do (see `check`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

Probability = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Count = Annotated[int, Meta(ge=0)]
CountOrAll = Annotated[int, Meta(ge=-1)]
Window = Annotated[int, Meta(ge=-1, le=1 << 20)]
"""Tokens looked back on, -1 for the whole context. llama.cpp sets aside four bytes for each, however many are asked."""
Schema = dict[str, Any]
Sampler = Literal[
    "dry", "top_k", "typ_p", "top_p", "top_n_sigma", "min_p", "temperature", "xtc", "infill", "penalties", "adaptive_p"
]
SAMPLER_LETTERS = frozenset("dkypsmtxiea")
"""llama.cpp leaves out a sampler it does not know without a word, so the names and letters are checked here."""
Answers = Annotated[int, Meta(ge=1, le=128)]


class Wire(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Base: a field that is not declared is an error."""


class Body(Wire):
    """A whole request body."""

    model: str = ""


class TextPart(Wire, tag="text"):
    text: str


class ImageUrl(Wire):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Wire, tag="image_url"):
    image_url: ImageUrl


class InputAudio(Wire):
    data: str
    format: str


class AudioPart(Wire, tag="input_audio"):
    input_audio: InputAudio


class File(Wire):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Wire, tag="file"):
    file: File


class RefusalPart(Wire, tag="refusal"):
    refusal: str


Part = TextPart | ImagePart | AudioPart | FilePart | RefusalPart


class FunctionCall(Wire):
    name: str
    arguments: str


class ToolCall(Wire):
    function: FunctionCall
    type: Literal["function"]
    id: str = ""
    index: int | None = None


class ChatMessage(Wire):
    """One turn as OpenAI writes it. `annotations` and `refusal` come back from earlier answers and are let pass."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None


class Function(Wire):
    name: str
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class Tool(Wire):
    function: Function
    type: Literal["function"]


class NamedFunction(Wire):
    name: str


class NamedTool(Wire):
    function: NamedFunction
    type: Literal["function"] = "function"


class TextFormat(Wire, tag="text"):
    pass


class ObjectFormat(Wire, tag="json_object"):
    schema: Schema | None = None


class NamedSchema(Wire):
    schema: Schema
    name: str = ""
    description: str | None = None
    strict: bool | None = None


class SchemaFormat(Wire, tag="json_schema"):
    json_schema: NamedSchema


class StreamOptions(Wire):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class LoraScale(Wire):
    """How much of an adapter: its `name`, or its `id` as llama.cpp counts them."""

    id: Count | None = None
    name: str = ""
    scale: float = 1.0


class Shared(Body):
    """What chat and bare completions have in common."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Probability | None = None
    n: Answers | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    max_tokens: CountOrAll | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, float | bool] | list[tuple[int | str, float | bool]] | None = None
    # Hints and labels: nothing in the answer may depend on them, so they are taken and not used.
    user: str | None = None
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    # llama.cpp's own
    top_k: Count | None = None
    min_p: Probability | None = None
    typical_p: Probability | None = None
    top_n_sigma: float | None = None
    min_keep: Count | None = None
    repeat_penalty: Annotated[float, Meta(ge=0)] | None = None
    repeat_last_n: Window | None = None
    dynatemp_range: float | None = None
    dynatemp_exponent: float | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: Count | None = None
    dry_penalty_last_n: Window | None = None
    dry_sequence_breakers: list[str] | None = None
    xtc_probability: Probability | None = None
    xtc_threshold: Probability | None = None
    mirostat: Literal[0, 1, 2] | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    adaptive_target: float | None = None
    adaptive_decay: float | None = None
    samplers: list[Sampler] | str | None = None
    grammar: str | None = None
    json_schema: Schema | None = None
    ignore_eos: bool | None = None
    n_predict: CountOrAll | None = None
    n_probs: Count | None = None
    n_keep: CountOrAll | None = None
    n_indent: Count | None = None
    cache_prompt: bool | None = None
    n_cache_reuse: Count | None = None
    t_max_predict_ms: CountOrAll | None = None
    post_sampling_probs: bool | None = None
    return_tokens: bool | None = None
    return_progress: bool | None = None
    timings_per_token: bool | None = None
    lora: list[LoraScale] | None = None

    def __post_init__(self) -> None:
        # not a pattern in the type: msgspec to 0.22 follows a wild pointer at garbage collection for `list | pattern`
        if isinstance(self.samplers, str) and not SAMPLER_LETTERS.issuperset(self.samplers):
            raise ValueError(f"Expected letters of `{''.join(sorted(SAMPLER_LETTERS))}` - at `$.samplers`")


class ChatBody(Shared, kw_only=True):
    """POST /v1/chat/completions"""

    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    max_completion_tokens: CountOrAll | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_format: TextFormat | ObjectFormat | SchemaFormat | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    store: bool | None = None
    # Chat-template switches and reasoning output
    enable_thinking: bool | None = None
    return_reasoning: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    reasoning_format: Literal["none", "auto", "deepseek", "deepseek-legacy"] | None = None
    reasoning_budget_tokens: CountOrAll | None = None
    thinking_budget_tokens: CountOrAll | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    parse_tool_calls: bool | None = None


class CompletionBody(Shared, kw_only=True):
    """POST /v1/completions"""

    prompt: str | list[str | int | list[int]]
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    echo: bool | None = None
    best_of: Answers | None = None
    suffix: str | None = None


class Weighing(Body):
    """Texts that are turned into numbers; nothing is written."""

    @property
    def texts(self) -> list[str | int | list[int]]:
        """Texts, or tokens, each read by itself."""
        raise NotImplementedError


class EmbeddingBody(Weighing, kw_only=True):
    """POST /v1/embeddings"""

    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    user: str | None = None

    @property
    def texts(self) -> list[str | int | list[int]]:
        return [self.input] if isinstance(self.input, str) else self.input


class Document(Wire):
    text: str


class RerankBody(Weighing, kw_only=True):
    """POST /v1/rerank, as Jina and Cohere have it (https://api.jina.ai/redoc, docs.cohere.com/reference/rerank)."""

    query: str
    documents: Annotated[list[str | Document], Meta(min_length=1)]
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool | None = None

    @property
    def texts(self) -> list[str | int | list[int]]:
        return [self.query + text for text in self.plain]

    @property
    def plain(self) -> list[str]:
        """The documents as texts."""
        return [each if isinstance(each, str) else each.text for each in self.documents]


AnyBody = ChatBody | CompletionBody | EmbeddingBody | RerankBody


def prompts(body: ChatBody | CompletionBody) -> list[object]:
    """What is to be answered, one by one: the entries of a list of prompts; a list of tokens is one prompt."""
    prompt = body.prompt if isinstance(body, CompletionBody) else None
    if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
        return list(prompt)
    return [prompt]


def names(kind: type[Struct]) -> tuple[str, ...]:
    """The fields of a structure as a client writes them."""
    return tuple(field.encode_name for field in msgspec.structs.fields(kind))
