"""The bodies of Ollama's API (https://github.com/ollama/ollama/blob/main/docs/api.md), checked by name, type and range.

How much of a machine Ollama may use (`num_gpu`, `num_thread`, `use_mmap` ...) is decided where penjing is started; such
options are taken and not used, since no answer depends on them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, field

from penjing.gateway.dialects.openai.wire import Body, Count, CountOrAll, Probability, Window, Wire

Effort = Literal["low", "medium", "high", "max"]
Format = Literal["", "json"] | dict[str, Any]


class Options(Wire):
    """How tokens are drawn. `num_ctx` is the longest prompt; `num_predict` the longest answer."""

    num_ctx: Annotated[int, Meta(ge=1)] | None = None
    num_predict: Annotated[int, Meta(ge=-2)] | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_k: Count | None = None
    top_p: Probability | None = None
    min_p: Probability | None = None
    typical_p: Probability | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    repeat_last_n: Window | None = None
    repeat_penalty: Annotated[float, Meta(ge=0)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    mirostat: Literal[0, 1, 2] | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    num_keep: CountOrAll | None = None
    penalize_newline: bool | None = None
    tfs_z: float | None = None
    # The machine's, not the answer's
    num_batch: int | None = None
    num_gpu: int | None = None
    main_gpu: int | None = None
    num_thread: int | None = None
    numa: bool | None = None
    low_vram: bool | None = None
    use_mmap: bool | None = None
    use_mlock: bool | None = None
    vocab_only: bool | None = None
    f16_kv: bool | None = None


class Called(Wire):
    name: str
    arguments: Raw
    description: str | None = None
    index: int | None = None


class ToolCall(Wire):
    function: Called
    id: str | None = None
    type: Literal["function"] | None = None


class Turn(Wire):
    """One message. `tool_name` says whose result a tool's message is."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class Function(Wire):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(Wire):
    function: Function
    type: Literal["function"] = "function"


class Asked(Body, kw_only=True):
    """What both questions have in common. Streams unless told not to."""

    stream: bool | None = None
    think: bool | Effort | None = None
    format: Format | None = None
    options: Options = field(default_factory=Options)
    keep_alive: str | float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class OllamaChat(Asked, kw_only=True):
    """POST /api/chat"""

    messages: list[Turn] = field(default_factory=list)
    tools: list[Tool] | None = None


class OllamaGenerate(Asked, kw_only=True):
    """POST /api/generate"""

    prompt: str = ""
    suffix: str | None = None
    images: list[str] | None = None
    system: str | None = None
    template: str | None = None
    raw: bool | None = None
    context: list[int] | None = None


class OllamaEmbed(Body, kw_only=True):
    """POST /api/embed"""

    input: str | list[str]
    truncate: bool | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    options: Options = field(default_factory=Options)
    keep_alive: str | float | None = None


class OllamaEmbedding(Body, kw_only=True):
    """POST /api/embeddings, the older one"""

    prompt: str
    options: Options = field(default_factory=Options)
    keep_alive: str | float | None = None


class Named(Wire):
    """A model by name: `model`, or `name` as older clients have it."""

    model: str = ""
    name: str = ""
    verbose: bool | None = None


class Managed(Wire):
    """What would change the models here: pull, push, create, copy, delete. Read only to be refused."""

    model: str = ""
    name: str = ""
    source: str = ""
    destination: str = ""
    insecure: bool | None = None
    stream: bool | None = None
