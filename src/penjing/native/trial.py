"""One library tried on one model, in a process of its own: `python -m penjing.native.trial`.

    stdin   one line of JSON: library, version, model, threads, and what is asked
    stdout  one line of JSON, what was found

`answers`: greedy answers to `prompts`, and the log-probabilities at each of their tokens, or of the tokens in `given`
(pairs of a prompt's tokens and an answer's), into the file `place` (.npy, f32 [tokens, vocabulary]).
`speed`: tokens a second, reading `prompt` tokens and saying `said`, the median of `rounds`.

Does not know: which libraries there are, what is made of it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penjing.native.batch import Batch
from penjing.native.context import Context
from penjing.native.library import take
from penjing.native.model import Model

Pair = tuple[list[int], list[int]]
FIRST = 300
"""The first of the tokens that random prompts are made of: those before are marks and single bytes."""


def main() -> int:
    """Answer the one line; the exit status of the process."""
    report = os.dup(1)
    os.dup2(2, 1)  # the library prints too
    asked: dict[str, Any] = json.loads(sys.stdin.readline())
    take(asked["library"], asked["version"])
    with Model(asked["model"], gpu_layers=asked.get("gpu_layers", 0)) as model:
        found = answers(model, asked) if asked["kind"] == "answers" else speed(model, asked)
    os.write(report, json.dumps(found).encode() + b"\n")
    return 0


def answers(model: Model, asked: dict[str, Any]) -> dict[str, Any]:
    """Pairs of tokens; the numbers go to `place`."""
    given: list[Pair] | None = asked.get("given")
    pairs: list[Pair] = given or [(model.tokenize(text, special=True), []) for text in asked["prompts"]]
    rows: list[NDArray[np.float32]] = []
    said: list[Pair] = []
    with Context(model, 2048, threads=asked["threads"]) as context:
        for prompt, forced in pairs:
            answer = _answer(context, prompt, forced, asked["limit"], rows)
            said.append((prompt, answer))
    np.save(asked["place"], np.stack(rows))
    return {"pairs": said}


def _answer(
    context: Context, prompt: Sequence[int], forced: Sequence[int], limit: int, rows: list[NDArray[np.float32]]
) -> list[int]:
    """The likeliest token after each of `forced`, which stand in their place where there are any."""
    logits, batch = context.compute(prompt)[-1], Batch(1)
    answer: list[int] = []
    count = len(forced) or limit
    for place in range(count):
        rows.append(log_probabilities(logits))
        answer.append(int(logits.argmax()))
        token = forced[place] if forced else answer[-1]
        if place + 1 == count or (not forced and token in context.model.ends):
            break
        batch.clear()
        batch.add(token, len(prompt) + place, wanted=True)
        context.decode(batch)
        logits = context.logits()[-1]
    return answer


def log_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of f32 [vocabulary], in its shape."""
    shifted = logits.astype(np.float64) - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()), np.float32)


def speed(model: Model, asked: dict[str, Any]) -> dict[str, Any]:
    """Medians over the rounds, and each round."""
    prompt, said, rounds = asked["prompt"], asked["said"], asked["rounds"]
    dice = np.random.default_rng(1)
    reading: list[float] = []
    saying: list[float] = []
    with Context(model, prompt + said + 8, threads=asked["threads"], ubatch=asked.get("ubatch", 512)) as context:
        _round(context, dice, 16, 4)  # pages of the file, threads
        for _ in range(rounds):
            read, told = _round(context, dice, prompt, said)
            reading.append(prompt / read)
            saying.append(said / told)
    return {"prefill": median(reading), "decode": median(saying), "prefills": reading, "decodes": saying}


def _round(context: Context, dice: np.random.Generator, prompt: int, said: int) -> tuple[float, float]:
    """Seconds for the prompt, and for what is said after it."""
    low = min(FIRST, context.model.vocabulary_size // 2)
    tokens = dice.integers(low, context.model.vocabulary_size, prompt + said).tolist()
    begun = time.perf_counter()
    context.compute(tokens[:prompt])
    read = time.perf_counter()
    batch = Batch(1)
    for place in range(prompt, prompt + said):
        batch.clear()
        batch.add(tokens[place], place, wanted=True)
        context.decode(batch)
    return read - begun, time.perf_counter() - read


if __name__ == "__main__":
    sys.exit(main())
