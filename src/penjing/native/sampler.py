"""How the next token is chosen from logits: llama.cpp's own chain of samplers, in the order of its server.

Source: llama.cpp common/common.h, `common_params_sampling` (order and defaults), common/sampling.cpp
`common_sampler_sample` (a token is drawn first and a grammar asked afterwards, which is much quicker than the reverse).

Does not know: contexts, sequences, when an answer ends.
"""

from __future__ import annotations

import ctypes
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penjing.native.calls import INIT_LLGUIDANCE, call
from penjing.native.faults import DecodeFailed, WrongUse
from penjing.native.layout import FLAG, POINTER, SIZE, ChainParams, LogitBias
from penjing.native.model import Model

SEEDS = 1 << 32
CANDIDATE = np.dtype([("token", np.int32), ("logit", np.float32), ("p", np.float32)])
"""llama.h, `llama_token_data`."""
ROOT = b"root"
"""The rule with which a grammar begins."""
LLGUIDANCE = "%llguidance"
"""How a grammar begins that is llguidance's (llama.cpp common/llguidance.cpp), as the wheel makes of JSON schemas."""
LARK = b"lark"
ORDER = ("penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature")
"""In which samplers follow each other where nobody says (common/common.h, `common_params_sampling`)."""
LEARNING = 100
"""Tokens that Mirostat 1 estimates from (common/sampling.cpp)."""
Step = tuple[str, tuple[object, ...]]
"""A sampler's name in llama.h, and the arguments of its `init`."""

_scratch = threading.local()


class _Candidates(ctypes.Structure):
    """llama.h, `llama_token_data_array`."""

    _fields_ = (("data", POINTER), ("size", SIZE), ("selected", ctypes.c_int64), ("sorted", FLAG))


class GrammarRefused(WrongUse):
    """Facts: none."""

    template = "The grammar cannot be read."
    hint = "It must be GBNF with a rule named root."
    code = "grammar_refused"
    kind = "invalid_request_error"
    status = 400


class NothingAllowed(DecodeFailed):
    """Facts: none."""

    template = "No token of this model goes on as the grammar demands."
    code = "nothing_allowed"


@dataclass(frozen=True)
class Sampling:
    """What a request may say, with llama.cpp's words and defaults. Temperature 0: the most likely token. `seed` None:
    any. `order` are names of samplers as they follow each other; `adaptive_p` among them chooses at the end."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    min_keep: int = 0
    top_n_sigma: float = -1.0
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = 64
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    adaptive_target: float = -1.0
    adaptive_decay: float = 0.9
    order: tuple[str, ...] = ORDER
    seed: int | None = None
    bias: tuple[tuple[int, float], ...] = ()
    grammar: str = ""

    @property
    def remembers(self) -> bool:
        """Whether tokens that were there count, those of the prompt too."""
        given = (self.repeat_penalty != 1, self.frequency_penalty != 0, self.presence_penalty != 0)
        penalizes = any(given) and self.repeat_last_n != 0 and "penalties" in self.order
        return not self.mirostat and (penalizes or (self.dry_multiplier != 0 and "dry" in self.order))

    @property
    def plain(self) -> bool:
        """Whether it is the most likely token, whatever was before."""
        odd = self.remembers or self.bias or self.grammar or self.xtc_probability or "adaptive_p" in self.order
        return self.temperature <= 0 and "temperature" in self.order and not (odd or self.dynatemp_range)


def made_grammar(model: Model, text: str) -> int | None:
    """The sampler of a grammar: GBNF, or one that begins with LLGUIDANCE. None where it cannot be read."""
    if text.startswith(LLGUIDANCE):
        found: int | None = call(INIT_LLGUIDANCE)(model.vocabulary, LARK, text.encode())
    else:
        found = call("llama_sampler_init_grammar")(model.vocabulary, text.encode(), ROOT)
    return found


class Sampler:
    """Chooses by `sampling` among the tokens of `model`. Use as a context manager, from one thread at a time. Raises
    GrammarRefused."""

    def __init__(self, model: Model, sampling: Sampling) -> None:
        self.sampling, self._size = sampling, model.vocabulary_size
        self._chain: int | None = None
        self._grammar: int | None = None
        if sampling.plain:
            return
        self._chain = self._made(model, sampling)
        if sampling.grammar:
            grammar = made_grammar(model, sampling.grammar)
            if not grammar:
                self.close()
                raise GrammarRefused
            self._grammar = int(grammar)

    def _made(self, model: Model, sampling: Sampling) -> int:
        chain = int(call("llama_sampler_chain_init")(ChainParams(True)))
        for name, values in steps(model, sampling):
            call("llama_sampler_chain_add")(chain, call(f"llama_sampler_init_{name}")(*values))
        return chain

    def __enter__(self) -> Sampler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Free it; a second time does nothing."""
        held = [getattr(self, "_chain", None), getattr(self, "_grammar", None)]
        self._chain = self._grammar = None
        for address in held:
            if address is not None:
                call("llama_sampler_free")(address)

    def choose(self, logits: NDArray[np.float32]) -> int:
        """A token by `logits` (f32 [vocabulary], not changed). It counts only once it is said to `accept`."""
        if self.sampling.plain:
            return int(logits.argmax())
        if self._chain is None:
            raise WrongUse(detail="the sampler is closed")
        token = self._drawn(logits, ())
        if self._grammar is None or self._allowed(token):
            return token
        return self._drawn(logits, (self._grammar,))

    def _drawn(self, logits: NDArray[np.float32], first: tuple[int, ...]) -> int:
        held = candidates(self._size)
        held["logit"] = logits
        among = _Candidates(held.ctypes.data, self._size, -1, False)
        for sampler in (*first, self._chain):
            call("llama_sampler_apply")(sampler, ctypes.byref(among))
        # The library may have put another array in the place of ours.
        chosen = among.data + max(among.selected, 0) * CANDIDATE.itemsize
        found = np.frombuffer(ctypes.string_at(chosen, CANDIDATE.itemsize), CANDIDATE)
        if among.selected < 0 or (first and not np.isfinite(found["logit"][0])):
            raise NothingAllowed
        return int(found["token"][0])

    def _allowed(self, token: int) -> bool:
        one = np.array([(token, 0.0, 0.0)], CANDIDATE)
        call("llama_sampler_apply")(self._grammar, ctypes.byref(_Candidates(one.ctypes.data, 1, -1, False)))
        return bool(np.isfinite(one["logit"][0]))

    def accept(self, token: int, *, prompt: bool = False) -> None:
        """`token` was said; with `prompt` by who asked, so that no grammar binds it."""
        if self._chain is not None:
            call("llama_sampler_accept")(self._chain, token)
        if self._grammar is not None and not prompt:
            call("llama_sampler_accept")(self._grammar, token)


def candidates(size: int) -> NDArray[np.void]:
    """All tokens of a vocabulary of `size`, one array a thread for all samplers: CANDIDATE [size]."""
    every, held = getattr(_scratch, "held", (None, None))
    if every is None or held is None or len(held) != size:
        every, held = np.arange(size, dtype=np.int32), np.zeros(size, CANDIDATE)
        _scratch.held = (every, held)
    held["token"] = every
    return held


def steps(model: Model, sampling: Sampling) -> list[Step]:
    """The samplers of `sampling` one after the other; the last one chooses (common/sampling.cpp,
    `common_sampler_init`)."""
    size = model.vocabulary_size
    seed = secrets.randbelow(SEEDS - 1) if sampling.seed is None else sampling.seed % SEEDS
    found: list[Step] = []
    if sampling.bias:
        array = (LogitBias * len(sampling.bias))(*(LogitBias(*pair) for pair in sampling.bias))
        found.append(("logit_bias", (size, len(array), array)))
    if sampling.mirostat:
        found.append(("temp", (sampling.temperature,)))
        taste = (seed, sampling.mirostat_tau, sampling.mirostat_eta)
        one = ("mirostat", (size, *taste, LEARNING))
        return [*found, one if sampling.mirostat == 1 else ("mirostat_v2", taste)]
    for name in sampling.order:
        if name in KNOWN:
            found += KNOWN[name](model, sampling, seed)
    if "adaptive_p" in sampling.order:
        return [*found, ("adaptive_p", (sampling.adaptive_target, sampling.adaptive_decay, seed))]
    return [*found, ("dist", (seed,))]


def _penalties(model: Model, given: Sampling, seed: int) -> list[Step]:
    last = given.repeat_last_n if given.repeat_last_n >= 0 else model.trained_context
    amounts = (given.repeat_penalty, given.frequency_penalty, given.presence_penalty)
    return [("penalties", (model.vocabulary_size, last, *amounts))] if given.remembers else []


def _dry(model: Model, given: Sampling, seed: int) -> list[Step]:
    if not given.dry_multiplier:
        return []
    words = [word.encode() for word in given.dry_sequence_breakers]
    breakers = (ctypes.c_char_p * len(words))(*words)
    last = given.dry_penalty_last_n if given.dry_penalty_last_n >= 0 else model.trained_context
    how = (given.dry_multiplier, given.dry_base, given.dry_allowed_length, last)
    return [("dry", (model.vocabulary, *how, breakers, len(words)))]


def _xtc(model: Model, given: Sampling, seed: int) -> list[Step]:
    how = (given.xtc_probability, given.xtc_threshold, given.min_keep, seed)
    return [("xtc", how)] if given.xtc_probability else []


KNOWN: dict[str, Callable[[Model, Sampling, int], list[Step]]] = {
    "penalties": _penalties,
    "dry": _dry,
    "top_n_sigma": lambda model, given, seed: [("top_n_sigma", (given.top_n_sigma,))],
    "top_k": lambda model, given, seed: [("top_k", (given.top_k,))],
    "typ_p": lambda model, given, seed: [("typical", (given.typical_p, given.min_keep))],
    "top_p": lambda model, given, seed: [("top_p", (given.top_p, given.min_keep))],
    "min_p": lambda model, given, seed: [("min_p", (given.min_p, given.min_keep))],
    "xtc": _xtc,
    "temperature": lambda model, given, seed: [
        ("temp_ext", (given.temperature, given.dynatemp_range, given.dynatemp_exponent))
    ],
    "infill": lambda model, given, seed: [("infill", (model.vocabulary,))],
}
"""What each name in `Sampling.order` adds; `adaptive_p` is added at the end."""
