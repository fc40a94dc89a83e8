"""The bodies of text-generation-webui's API, as its `api` extension read them (extensions/api/util.py).

Clients send every field there is, most of them switched off. A field whose effect no engine has is taken as long as it
is switched off (`NEUTRAL`), and refused by name where it asks for something.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from penjing.gateway.dialects.openai.wire import Body, Count, Probability, Wire

NEUTRAL: dict[str, tuple[object, ...]] = {
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "tfs": (1,),
    "top_a": (0,),
    "encoder_repetition_penalty": (1,),
    "min_length": (0,),
    "no_repeat_ngram_size": (0,),
    "num_beams": (0, 1),
    "penalty_alpha": (0,),
    "length_penalty": (0, 1),
    "early_stopping": (False,),
    "guidance_scale": (1,),
    "negative_prompt": ("",),
    "custom_token_bans": ("",),
    "add_bos_token": (True,),
    "skip_special_tokens": (True,),
    "preset": ("None", ""),
    "use_max_seq_len": (False,),
    "auto_max_new_tokens": (False,),
    "max_tokens_second": (0,),
    "chat_generation_attempts": (1,),
    "stop_at_newline": (False,),
    "_continue": (False,),
}
"""Values with which a field changes nothing."""


class Generation(Body, kw_only=True):
    """What both questions have in common. `truncation_length` is not used: it is the `context` policy's work."""

    max_new_tokens: Count | None = None
    max_length: Count | None = None
    do_sample: bool | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Probability | None = None
    min_p: Probability | None = None
    top_k: Count | None = None
    typical_p: Probability | None = None
    typical: Probability | None = None
    repetition_penalty: Annotated[float, Meta(ge=0)] | None = None
    rep_pen: Annotated[float, Meta(ge=0)] | None = None
    repetition_penalty_range: Count | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    mirostat_mode: Literal[0, 1, 2] | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    seed: int | None = None
    ban_eos_token: bool | None = None
    grammar_string: str | None = None
    stopping_strings: list[str] | None = None
    custom_stopping_strings: str | list[str] | None = None
    truncation_length: Count | None = None
    max_context_length: Count | None = None
    stream: bool | None = None
    # only as long as they are switched off
    epsilon_cutoff: float | None = None
    eta_cutoff: float | None = None
    tfs: float | None = None
    top_a: float | None = None
    encoder_repetition_penalty: float | None = None
    min_length: int | None = None
    no_repeat_ngram_size: int | None = None
    num_beams: int | None = None
    penalty_alpha: float | None = None
    length_penalty: float | None = None
    early_stopping: bool | None = None
    guidance_scale: float | None = None
    negative_prompt: str | None = None
    custom_token_bans: str | None = None
    add_bos_token: bool | None = None
    skip_special_tokens: bool | None = None
    preset: str | None = None
    use_max_seq_len: bool | None = None
    auto_max_new_tokens: bool | None = None
    max_tokens_second: int | None = None


class GenerateBody(Generation, kw_only=True):
    """POST /api/v1/generate"""

    prompt: str


class History(Wire):
    """Pairs of what the user said and what was answered: as the model sees them, and as a person does."""

    internal: list[tuple[str, str]] = field(default_factory=list)
    visible: list[tuple[str, str]] = field(default_factory=list)


class TalkBody(Generation, kw_only=True):
    """POST /api/v1/chat. The model's own chat template is always used: names and templates of prompts are taken and not
    used, as `instruct` mode does not use characters."""

    user_input: str
    history: History = field(default_factory=History)
    mode: Literal["instruct", "chat", "chat-instruct"] | None = None
    context: str | None = None
    context_instruct: str | None = None
    regenerate: bool | None = None
    continue_: bool | None = field(name="_continue", default=None)
    character: str | None = None
    instruction_template: str | None = None
    turn_template: str | None = None
    your_name: str | None = None
    name1: str | None = None
    name2: str | None = None
    name1_instruct: str | None = None
    name2_instruct: str | None = None
    greeting: str | None = None
    chat_instruct_command: str | None = field(name="chat-instruct_command", default=None)
    chat_generation_attempts: int | None = None
    stop_at_newline: bool | None = None


class Counted(Wire):
    """POST /api/v1/token-count"""

    prompt: str
    model: str = ""


class ModelBody(Wire):
    """POST /api/v1/model. Models are chosen where the server is started; what is here can be read."""

    action: Literal["", "info", "list"] = ""
    model_name: str | None = None
    args: dict[str, Any] | None = None
    settings: dict[str, Any] | None = None
