"""A request's body to what the scheduler needs: each field is used, means nothing here, or is refused by name.

Fields and defaults are those of llama.cpp's server (tools/server/README.md); the gateway has looked at their types.

Does not know: HTTP, who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from penjing.engines.llamacpp.scheduler.asked import Voice
from penjing.errors import InvalidRequest, Unsupported
from penjing.native.grammar import of_schema
from penjing.native.model import Model
from penjing.native.sampler import Sampling

Body = Mapping[str, Any]

LETTERS = {
    "e": "penalties",
    "d": "dry",
    "s": "top_n_sigma",
    "k": "top_k",
    "y": "typ_p",
    "p": "top_p",
    "m": "min_p",
    "x": "xtc",
    "t": "temperature",
    "i": "infill",
    "a": "adaptive_p",
}
"""How samplers are named in a text of letters (common/sampling.cpp, `common_sampler_type_to_chr`)."""
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
    "min_keep": ("min_keep", int),
    "top_n_sigma": ("top_n_sigma", float),
    "dynatemp_range": ("dynatemp_range", float),
    "dynatemp_exponent": ("dynatemp_exponent", float),
    "xtc_probability": ("xtc_probability", float),
    "xtc_threshold": ("xtc_threshold", float),
    "dry_multiplier": ("dry_multiplier", float),
    "dry_base": ("dry_base", float),
    "dry_allowed_length": ("dry_allowed_length", int),
    "dry_penalty_last_n": ("dry_penalty_last_n", int),
    "dry_sequence_breakers": ("dry_sequence_breakers", tuple),
    "mirostat": ("mirostat", int),
    "mirostat_tau": ("mirostat_tau", float),
    "mirostat_eta": ("mirostat_eta", float),
    "adaptive_target": ("adaptive_target", float),
    "adaptive_decay": ("adaptive_decay", float),
    "samplers": ("order", lambda names: tuple(LETTERS.get(name, name) for name in names)),
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
    "messages prompt stream stream_options stop seed max_tokens max_completion_tokens "  # noqa: SIM905  read as a text
    "n_predict logit_bias grammar json_schema response_format ignore_eos logprobs top_logprobs n_probs "
    "chat_template_kwargs reasoning_format "
    "add_generation_prompt tools tool_choice parse_tool_calls content add_special parse_special with_pieces n n_keep "
    "lora t_max_predict_ms reasoning_budget_tokens thinking_budget_tokens input encoding_format query documents top_n "
    "tokens cache_prompt".split()
)
"""What is read somewhere in this package."""
LABELS = frozenset(
    "model user metadata safety_identifier prompt_cache_key prompt_cache_retention "  # noqa: SIM905  read as a text
    "service_tier store "
    "parallel_tool_calls verbosity modalities n_cache_reuse n_indent timings_per_token return_progress "
    "return_tokens continue_final_message".split()
)
"""Hints and labels: nothing in the answer depends on them."""
NEUTRAL: dict[str, tuple[object, ...]] = {
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "post_sampling_probs": (False,),
    "dimensions": (),
}
"""What this engine cannot do, and the values that ask for nothing."""


def require_known(body: Body, model: str) -> None:
    """Raises Unsupported for a field that asks for what this engine cannot do."""
    for name, value in body.items():
        known = name in NUMBERS or name in READ or name in LABELS
        if not known and value is not None and value not in NEUTRAL.get(name, ()):
            raise Unsupported(feature=f"'{name}' with the scheduler penjing", model=model)


def defaults(model: Model) -> Sampling:
    """How requests are sampled that do not say."""
    found = {name: model.metadata[key] for key, name in OF_MODEL.items() if key in model.metadata}
    return replace(Sampling(), **{name: NUMBERS[name][1](value) for name, value in found.items()})


def sampling(body: Body, usual: Sampling, model: Model) -> Sampling:
    """How `body` wants to be sampled. Raises InvalidRequest."""
    given = {ours: kind(body[name]) for name, (ours, kind) in NUMBERS.items() if body.get(name) is not None}
    if given.get("repeat_penalty") == 0:
        raise InvalidRequest(detail="repeat_penalty: a number above 0 is expected.")
    if not set(given.get("order", ())) <= set(LETTERS.values()):
        raise InvalidRequest(detail=f"samplers: these are known: {', '.join(LETTERS.values())}.")
    seed = body.get("seed")
    return replace(
        usual,
        **given,
        seed=None if seed is None or seed < 0 else int(seed),
        bias=bias(body, model) + tuple((token, float("-inf")) for token in never(body, model)),
        grammar=grammar(body),
    )


def never(body: Body, model: Model) -> tuple[int, ...]:
    """Tokens that are not said: those that the model must not, and its ends where they are to be ignored."""
    return (*model.suppressed, *(sorted(model.ends) if body.get("ignore_eos") else ()))


def voice(body: Body, usual: Voice) -> Voice:
    """The weight of each LoRA adapter; one that a request's `lora` leaves out does nothing. Raises InvalidRequest."""
    given = body.get("lora")
    if given is None:
        return usual
    found = [0.0] * len(usual)
    for each in given:
        if not (isinstance(each, dict) and each.get("id") in range(len(usual))):
            raise InvalidRequest(detail=f"lora: there are {len(usual)} adapters, by ids from 0 on.")
        found[each["id"]] = float(each.get("scale", 1.0))
    return tuple(found)


def kept(body: Body, prompt: int) -> int:
    """Tokens of a prompt that stay where a conversation forgets its oldest; -1 for all."""
    given = int(body.get("n_keep") or 0)
    return prompt if given < 0 else min(given, prompt)


def budget(body: Body) -> int | None:
    """Tokens that thoughts may have; None: as many as they like."""
    for name in ("reasoning_budget_tokens", "thinking_budget_tokens"):
        if body.get(name) is not None and body[name] >= 0:
            return int(body[name])
    return None


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
    return of_schema(schema)


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


def prompts(body: Body, model: Model) -> list[list[int]]:
    """The tokens of each bare prompt: a text, tokens, or a list of both. Raises InvalidRequest."""
    given = body.get("prompt")
    several = isinstance(given, list) and bool(given) and not all(isinstance(part, int) for part in given)
    return [_tokens(each, model) for each in (given if isinstance(given, list) and several else [given])]


def _tokens(given: object, model: Model) -> list[int]:
    if isinstance(given, str) and given:
        return model.tokenize(given, special=True)
    if isinstance(given, list) and given and all(isinstance(part, int) for part in given):
        return [int(part) for part in given]
    raise InvalidRequest(detail="prompt: one text or one list of tokens is expected.")


def texts(body: Body, name: str) -> list[str | list[int]]:
    """What `name` holds to be turned into numbers: a text, tokens, or a list of both. Raises InvalidRequest."""
    given = body.get(name)
    found = given if isinstance(given, list) and not all(isinstance(part, int) for part in given) else [given]
    if not found or not all(isinstance(each, str | list) and each for each in found):
        raise InvalidRequest(detail=f"{name}: texts or lists of tokens are expected.")
    return list(found)
