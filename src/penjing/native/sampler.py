"""How the next token is chosen from logits: llama.cpp's own chain of samplers, in the order of its server.

Source: llama.cpp common/common.h, `common_params_sampling` (order and defaults), common/sampling.cpp
`common_sampler_sample` (a token is drawn first and a grammar asked afterwards, which is much quicker than the reverse).

Does not know: contexts, sequences, when an answer ends.
"""

from __future__ import annotations

import ctypes
import secrets
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
    """What a request may say, with llama.cpp's defaults. Temperature 0: the most likely token. `seed` None: any."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int | None = None
    bias: tuple[tuple[int, float], ...] = ()
    grammar: str = ""

    @property
    def penalizes(self) -> bool:
        """Whether tokens that were there count."""
        given = (self.repeat_penalty != 1, self.frequency_penalty != 0, self.presence_penalty != 0)
        return any(given) and self.repeat_last_n != 0

    @property
    def plain(self) -> bool:
        """Whether it is the most likely token, whatever was before."""
        return self.temperature <= 0 and not (self.penalizes or self.bias or self.grammar)


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
        self._candidates = np.zeros(self._size, CANDIDATE)
        self._every = np.arange(self._size, dtype=np.int32)
        self._chain = self._made(sampling)
        if sampling.grammar:
            grammar = made_grammar(model, sampling.grammar)
            if not grammar:
                self.close()
                raise GrammarRefused
            self._grammar = int(grammar)

    def _made(self, sampling: Sampling) -> int:
        chain = int(call("llama_sampler_chain_init")(ChainParams(True)))
        steps: list[tuple[str, tuple[object, ...]]] = []
        if sampling.bias:
            array = (LogitBias * len(sampling.bias))(*(LogitBias(*pair) for pair in sampling.bias))
            steps.append(("logit_bias", (self._size, len(array), array)))
        if sampling.penalizes:
            last = sampling.repeat_last_n if sampling.repeat_last_n > 0 else self._size
            amounts = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
            steps.append(("penalties", (self._size, last, *amounts)))
        seed = secrets.randbelow(SEEDS - 1) if sampling.seed is None else sampling.seed % SEEDS
        steps += [
            ("top_k", (sampling.top_k,)),
            ("typical", (sampling.typical_p, 0)),
            ("top_p", (sampling.top_p, 0)),
            ("min_p", (sampling.min_p, 0)),
            ("temp", (sampling.temperature,)),
            ("dist", (seed,)),
        ]
        for name, values in steps:
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
        held = self._candidates
        held["token"], held["logit"] = self._every, logits
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
