"""Writes the corpus of `guide`: train.jsonl and the yardstick heldout.jsonl, the same bytes for the same seed.

    python -m recipes.guide.corpus --output DIR [--seed 0]

Knows nothing of tokens or models. The yardstick is drawn from wordings (and, outside the guide's world, words and whole
topics, and pairs of numbers) that training never sees; whatever training would repeat of it by chance is drawn again.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import memory, outside, sums
from .dialogue import about, conversation, first, follow, system, think
from .facts import LANGS, load
from .noise import normal, type_like_people
from .rephrase import rephrase
from .turn import Turn
from .vary import vary

TRAIN = 240_000
SINGLE = 0.62
REFUSALS = 320
SUMS = 120
FOLLOWUPS = 170
MEMORY = 40


def row(turns: Sequence[Turn], prompt: str | None, kind: str | None = None) -> dict[str, Any]:
    """One line of the corpus; the last turn names it."""
    last = turns[-1]
    messages: list[dict[str, str]] = [{"role": "system", "content": prompt}] if prompt else []
    for turn in turns:
        messages.append({"role": "user", "content": turn.question})
        answer = {"role": "assistant", "content": turn.answer}
        messages.append(answer | ({"reasoning": turn.reasoning} if turn.reasoning else {}))
    rest = {"lang": last.lang, "kind": kind or last.kind, "fact": last.fact, "template": last.template, "key": last.key}
    return {"messages": messages, **rest}


def _typed(turn: Turn, rng: random.Random, much: float) -> Turn:
    return replace(turn, question=type_like_people(turn.question, turn.lang, rng, much))


def _varied(turn: Turn, rng: random.Random) -> Turn:
    if turn.kind not in ("fact", "refusal"):
        return turn  # figures and greetings are said in few ways
    return replace(turn, question=vary(turn.question, turn.lang, rng, inside=turn.kind == "fact"))


def heldout(seed: int) -> Iterator[dict[str, Any]]:
    """The yardstick: every fact in every language in unseen wordings, then sums, memory, follow-ups, refusals.

    Each part is drawn by itself, so that a change in one leaves the others as they are.
    """
    seen: set[str] = set()
    for lang in LANGS:
        for name, draw in PARTS.items():
            rng = random.Random(f"heldout {seed} {lang} {name}")
            for turns in draw(lang, rng):
                last = _typed(turns[-1], rng, 0.5)
                if len(turns) > 1:
                    yield row([*turns[:-1], last], None, "followup")
                elif (text := normal(last.question)) not in seen:
                    seen.add(text)
                    yield row([last], system(lang, rng, True) if rng.random() < 0.15 else None)


def _facts(lang: str, rng: random.Random) -> Iterator[list[Turn]]:
    for fact in load(lang):
        for _ in range(1 if fact.intent == "both" else 2):
            yield [about(fact, rng, True)]


def _followups(lang: str, rng: random.Random) -> Iterator[list[Turn]]:
    for _ in range(FOLLOWUPS):
        before = first(lang, rng)
        while before.kind in ("greeting", "refusal"):
            before = first(lang, rng)
        yield [replace(before, reasoning=None), follow(before, rng, True)]


def _times(
    count: int, ask: Callable[[str, random.Random, bool], Turn]
) -> Callable[[str, random.Random], Iterator[list[Turn]]]:
    return lambda lang, rng: ([ask(lang, rng, True)] for _ in range(count))


PARTS: dict[str, Callable[[str, random.Random], Iterator[list[Turn]]]] = {
    "facts": _facts,
    "choose": _times(MEMORY, memory.choose),
    "need": _times(MEMORY, memory.need),
    "fit": _times(MEMORY, memory.fit),
    "sums": _times(SUMS, sums.ask),
    "outside": _times(REFUSALS, outside.ask),
    "followups": _followups,
}


def never_trained(yardstick: Iterable[dict[str, Any]]) -> set[str]:
    """The yardstick's questions and every held-back wording that is a whole question, in normal form."""
    questions = {normal(line["messages"][-2]["content"]) for line in yardstick}
    own = (fact for lang in LANGS for fact in load(lang) if fact.intent == "own")
    return questions | {normal(text) for fact in own for _, text in fact.wordings.held}


def train(seed: int, kept: set[str]) -> Iterator[dict[str, Any]]:
    """Training dialogues; `kept` holds the yardstick's questions, which never appear."""
    rng = random.Random(f"train {seed}")
    made = 0
    while made < TRAIN:
        lang = LANGS[made % 2]
        turns = [first(lang, rng)] if rng.random() < SINGLE else conversation(lang, rng)
        turns = [replace(turn, question=rephrase(turn.question, turn.lang, rng)) for turn in turns]
        turns = [_varied(turn, rng) for turn in turns]
        turns = [_typed(turn, rng, 1.0) for turn in turns]
        if any(normal(turn.question) in kept for turn in turns):
            continue
        if rng.random() < 0.04:
            turns = [think(turn) for turn in turns]
        made += 1
        yield row(turns, system(lang, rng) if rng.random() < 0.2 else None, "followup" if len(turns) > 1 else None)


def write(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Writes rows as JSON lines and returns how many."""
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for line in rows:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the corpus of the embedded model guide.")
    parser.add_argument("--output", type=Path, required=True, help="folder for train.jsonl and heldout.jsonl")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    yardstick = list(heldout(options.seed))
    print(f"heldout.jsonl: {write(options.output / 'heldout.jsonl', yardstick)} lines")
    rows = train(options.seed, never_trained(yardstick))
    print(f"train.jsonl: {write(options.output / 'train.jsonl', rows)} lines")


if __name__ == "__main__":
    main()
