"""What a request may say of sampling, in OpenVINO GenAI's words; what it does not have is refused by name.

Source: openvino.genai src/cpp/include/openvino/genai/generation_config.hpp.

Does not know: tokens, requests on the wire.
"""

from __future__ import annotations

import secrets
from dataclasses import fields
from typing import Any

from penjing.engines.llamacpp.scheduler.asked import Ask
from penjing.errors import Unsupported
from penjing.native.sampler import Sampling

SEEDS = 1 << 32
SAME = ("temperature", "top_k", "top_p", "min_p", "frequency_penalty", "presence_penalty", "seed")
"""What both have."""
LIKE = ("repeat_penalty", "repeat_last_n")
"""`repetition_penalty`, which looks at all that was said."""
IDLE = {"dynatemp_exponent": "dynatemp_range", "adaptive_decay": "adaptive_target", "xtc_threshold": "xtc_probability"}
"""Details that say nothing unless the other is set."""
NEVER = float("-inf")
NONE = "with the engine openvino"


def require_able(ask: Ask, usual: Sampling, model: str, unsaid: frozenset[int] = frozenset()) -> None:
    """Raises Unsupported for what it does not have and `ask` wants; `usual` is how requests are sampled that do not
    say; `unsaid` are tokens that end an answer, which whoever ignores ends forbids: here they are gone on after."""
    if ask.likely is not None:
        raise Unsupported(feature=f"'logprobs' {NONE}", model=model)
    if ask.sampling.grammar:
        raise Unsupported(feature=f"'grammar' and 'response_format' {NONE}", model=model)
    if any(token not in unsaid or weight != NEVER for token, weight in ask.sampling.bias):
        raise Unsupported(feature=f"'logit_bias' {NONE}", model=model)
    for each in fields(Sampling):
        asked, neutral = getattr(ask.sampling, each.name), each.default
        if each.name in SAME or each.name in LIKE or _idle(each.name, ask.sampling):
            continue
        if each.name != "bias" and asked not in (neutral, getattr(usual, each.name)):
            raise Unsupported(feature=f"'{each.name}' {NONE}", model=model)


def _idle(name: str, sampling: Sampling) -> bool:
    head = name.split("_")[0]
    if head in ("dry", "mirostat"):
        return not getattr(sampling, "dry_multiplier" if head == "dry" else "mirostat", 0)
    whose = IDLE.get(name)
    default = {each.name: each.default for each in fields(Sampling)}
    return whose is not None and getattr(sampling, whose, None) == default.get(whose)


def configuration(library: Any, ask: Ask) -> Any:
    """`openvino_genai.GenerationConfig` of `ask`."""
    found, sampling = library.GenerationConfig(), ask.sampling
    found.max_new_tokens = ask.limit
    found.ignore_eos = True  # what ends an answer is said by its tokens, which differ from request to request
    found.stop_token_ids = set(ask.ends)
    found.repetition_penalty = sampling.repeat_penalty if sampling.repeat_last_n else 1.0
    found.frequency_penalty, found.presence_penalty = sampling.frequency_penalty, sampling.presence_penalty
    found.do_sample = sampling.temperature > 0
    if found.do_sample:
        found.temperature, found.top_p, found.min_p = sampling.temperature, sampling.top_p, sampling.min_p
        if sampling.top_k > 0:
            found.top_k = sampling.top_k
        found.rng_seed = secrets.randbelow(SEEDS) if sampling.seed is None else sampling.seed % SEEDS
    return found
