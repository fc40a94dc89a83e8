"""A request's body to what the scheduler needs: each field is used, means nothing here, or is refused by name.

Fields and defaults are those of llama.cpp's server (tools/server/README.md); the gateway has looked at their types.

Does not know: HTTP, who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from penjing.errors import InvalidRequest, Unsupported
from penjing.native.model import Model
from penjing.native.sampler import Sampling

Body = Mapping[str, Any]

NUMBERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "temperature": ("temperature", float),
    "top_k": ("top_k", int),
    "top_p": ("top_p", float),
    "min_p": ("min_p", float),
    "typical_p": ("typical_p", float),
    "repeat_penalty": ("repeat_penalty", float),
    "repeat_last_n": ("repeat_last_n", int),
    "presence_penalty": ("presence_penalty", float),
    "frequency_penalty": ("frequency_penalty", float),
}
"""A field's name to that of `Sampling`."""
OF_MODEL = {
    "general.sampling.temp": "temperature",
    "general.sampling.top_k": "top_k",
    "general.sampling.top_p": "top_p",
    "general.sampling.min_p": "min_p",
    "general.sampling.penalty_repeat": "repeat_penalty",
    "general.sampling.penalty_last_n": "repeat_last_n",
}
"""Keys of a GGUF that say how requests are sampled that do not (gguf-py/gguf/constants.py)."""
READ = frozenset(
    [
        "messages",
        "prompt",
        "stream",
        "stream_options",
        "stop",
        "seed",
        "max_tokens",
        "max_completion_tokens",
        "n_predict",
        "logit_bias",
        "grammar",
        "json_schema",
        "response_format",
        "ignore_eos",
        "logprobs",
        "top_logprobs",
        "n_probs",
        "chat_template_kwargs",
        "reasoning_format",
        "add_generation_prompt",
        "tools",
        "tool_choice",
        "content",
        "add_special",
        "parse_special",
        "with_pieces",
    ]
)
LABELS = frozenset(
    [
        "model",
        "user",
        "metadata",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "service_tier",
        "store",
        "parallel_tool_calls",
        "verbosity",
        "modalities",
        "cache_prompt",
        "n_cache_reuse",
        "n_keep",
        "n_indent",
        "timings_per_token",
        "return_progress",
        "return_tokens",
        "continue_final_message",
        "parse_tool_calls",
    ]
)
"""Hints and labels: nothing in the answer depends on them."""
NEUTRAL: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "lora": ([],),
    "min_keep": (0,),
    "mirostat": (0,),
    "dry_multiplier": (0,),
    "xtc_probability": (0,),
    "dynatemp_range": (0,),
    "top_n_sigma": (-1,),
    "adaptive_target": (-1,),
    "t_max_predict_ms": (0, -1),
    "post_sampling_probs": (False,),
    "reasoning_budget_tokens": (-1,),
    "thinking_budget_tokens": (-1,),
}
"""What this engine cannot do, and the values that ask for nothing."""
DETAILS = frozenset(
    [
        "mirostat_tau",
        "mirostat_eta",
        "dry_base",
        "dry_allowed_length",
        "dry_penalty_last_n",
        "dry_sequence_breakers",
        "xtc_threshold",
        "dynatemp_exponent",
        "adaptive_decay",
    ]
)
"""Details of these: nothing without them."""


def require_known(body: Body, model: str) -> None:
    """Raises Unsupported for a field that asks for what this engine cannot do."""
    for name, value in body.items():
        known = name in NUMBERS or name in READ or name in LABELS or name in DETAILS
        if not known and value is not None and value not in NEUTRAL.get(name, ()):
            raise Unsupported(feature=f"'{name}' with the scheduler penjing", model=model)


def defaults(model: Model) -> Sampling:
    """How requests are sampled that do not say."""
    found = {name: model.metadata[key] for key, name in OF_MODEL.items() if key in model.metadata}
    return replace(Sampling(), **{name: NUMBERS[name][1](value) for name, value in found.items()})


def sampling(body: Body, usual: Sampling, model: Model) -> Sampling:
    """How `body` wants to be sampled. Raises InvalidRequest."""
    given = {ours: kind(body[name]) for name, (ours, kind) in NUMBERS.items() if body.get(name) is not None}
    seed = body.get("seed")
    return replace(
        usual,
        **given,
        seed=None if seed is None or seed < 0 else int(seed),
        bias=bias(body, model),
        grammar=grammar(body),
    )


def bias(body: Body, model: Model) -> tuple[tuple[int, float], ...]:
    """Tokens that are more or less likely; False forbids one. A word stands for its tokens. Raises InvalidRequest."""
    given = body.get("logit_bias") or ()
    pairs = given.items() if isinstance(given, Mapping) else given
    found: list[tuple[int, float]] = []
    for word, weight in pairs:
        number = float("-inf") if weight is False else float(weight)
        whole = isinstance(word, int) or str(word).lstrip("-").isdigit()
        tokens = [int(word)] if whole else model.tokenize(str(word), begin=False)
        if any(not 0 <= token < model.vocabulary_size for token in tokens):
            raise InvalidRequest(detail=f"logit_bias: there is no token {word}.")
        found += [(token, number) for token in tokens]
    return tuple(found)


def grammar(body: Body) -> str:
    """What binds the answer: a grammar, or a JSON schema as one; empty for nothing. Raises InvalidRequest."""
    form = body.get("response_format") or {}
    schema = body.get("json_schema")
    if form.get("type") == "json_object":
        schema = form.get("schema") or {"type": "object"}
    elif form.get("type") == "json_schema":
        schema = form["json_schema"]["schema"]
    if schema is None:
        return str(body.get("grammar") or "")
    import xllamacpp

    try:
        return str(xllamacpp.json_schema_to_grammar(schema))
    except (RuntimeError, ValueError, TypeError) as error:
        raise InvalidRequest(detail=f"The JSON schema cannot be used: {error}") from None


def limit(body: Body) -> int:
    """Tokens that the answer may have; very many where nothing is said."""
    for name in ("max_completion_tokens", "max_tokens", "n_predict"):
        if body.get(name) is not None and body[name] >= 0:
            return int(body[name])
    return 1 << 30


def stops(body: Body) -> list[str]:
    """Texts that end the answer."""
    given = body.get("stop") or []
    return [given] if isinstance(given, str) else list(given)


def likely(body: Body) -> int | None:
    """Of how many tokens the probabilities are wanted; None: of none."""
    if body.get("n_probs"):
        return int(body["n_probs"])
    given = body.get("logprobs")
    if given is None or given is False:
        return None
    return int(body.get("top_logprobs") or 0) if given is True else int(given)


def prompt_tokens(body: Body, model: Model) -> list[int]:
    """The tokens of a bare prompt: a text, tokens, or a list of both that is one prompt. Raises InvalidRequest."""
    given = body.get("prompt")
    if isinstance(given, str):
        return model.tokenize(given, special=True)
    if isinstance(given, list) and given and all(isinstance(part, int) for part in given):
        return [int(part) for part in given]
    if isinstance(given, list) and len(given) == 1:
        return prompt_tokens({"prompt": given[0]}, model)
    raise InvalidRequest(detail="prompt: one text or one list of tokens is expected.")
