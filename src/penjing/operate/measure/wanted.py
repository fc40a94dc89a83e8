"""What to measure: the lengths, how many at once, how often, and what counts as good.

    --prompt 128,512 --output-tokens 64 --concurrency 1,4   ->  four loads on each subject

Does not know: what is measured, the command line.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import product
from typing import Annotated

from msgspec import Meta

from penjing.errors import InputError
from penjing.operate.measure.figures import Goal
from penjing.operate.measure.load import Load

Count = Annotated[int, Meta(ge=1)]
Counts = Annotated[tuple[Count, ...], Meta(min_length=1)]
USUAL_PROMPTS = (128, 512)
USUAL_SECONDS = 10.0
GOALS = {"ttft": "first", "tpot": "each", "itl": "each", "e2e": "whole"}
"""The field's words for parts of a goal."""
TERM = re.compile(r"\s*(\w+)\s*[=<]=?\s*([0-9.]+)\s*(ms|s)\s*")


class GoalUnclear(InputError):
    """Facts: `text`."""

    template = "'{text}' is no goal."
    hint = "Name what should be kept and how long it may take: --slo ttft=500ms,tpot=50ms,e2e=10s"
    code = "goal_unclear"


class SharedTooLong(InputError):
    """Facts: `shared`, `prompt` (tokens)."""

    template = "{shared} shared tokens leave nothing of a prompt of {prompt} that is its own."
    hint = "Let --shared-prompt be shorter than the shortest --prompt."
    code = "shared_too_long"


class TooLong(InputError):
    """Facts: `name`, `prompt`, `output` (tokens), `context` (tokens)."""

    template = "{prompt} tokens of prompt and {output} of answer are more than {name} holds ({context})."
    hint = "Ask for less: --prompt and --output-tokens; or give it more: --max-context."
    code = "too_long"


@dataclass(frozen=True)
class Wanted:
    """Section `[bench]`. Lengths in tokens; `prompt` is 128 and 512 where not given. Each load asks `requests`
    questions, or for `seconds`; with neither about as many as fit a minute in all. `rate`: questions a second that
    leave at random moments, instead of `concurrency`, for ten seconds where nothing else is said. The first
    `shared_prompt` tokens are the same in all. `slo` is a goal as text."""

    prompt: tuple[Count, ...] = ()
    output_tokens: Counts = (64,)
    concurrency: Counts = (1, 4)
    rate: tuple[Annotated[float, Meta(gt=0)], ...] = ()
    requests: Annotated[int, Meta(ge=0)] = 0
    seconds: Annotated[float, Meta(ge=0)] = 0.0
    rounds: Count = 3
    shared_prompt: Annotated[int, Meta(ge=0)] = 0
    slo: str = ""
    seed: int = 1

    def __post_init__(self) -> None:
        least = min(self.prompt or USUAL_PROMPTS)
        if self.shared_prompt >= least:
            raise SharedTooLong(shared=self.shared_prompt, prompt=least)
        self.goal()

    @property
    def together(self) -> int:
        """The most questions that are meant to be under way at once; for a rate nobody can say."""
        return 4 if self.rate else max(self.concurrency)

    @property
    def tokens(self) -> int:
        """The longest conversation."""
        return max(self.prompt or USUAL_PROMPTS) + max(self.output_tokens)

    def goal(self) -> Goal | None:
        """What an answer must keep to count as good. Raises GoalUnclear."""
        if not self.slo:
            return None
        limits: dict[str, float] = {}
        for part in self.slo.split(","):
            term = TERM.fullmatch(part)
            if term is None or term[1].lower() not in GOALS or not _number(term[2]):
                raise GoalUnclear(text=part)
            limits[GOALS[term[1].lower()]] = _number(term[2]) / (1000 if term[3] == "ms" else 1)
        return Goal(**limits)

    def loads(self, name: str, context: int) -> list[Load]:
        """Every length with every number at once, for a model called `name` that holds `context` tokens (0: unknown).
        Prompts that nobody asked for are left out where they do not fit. Raises TooLong."""
        room = context or math.inf
        most = max(self.output_tokens)
        lengths = self.prompt or tuple(each for each in USUAL_PROMPTS if each + most <= room)
        longest = max(lengths, default=min(USUAL_PROMPTS))
        if longest + most > room:
            raise TooLong(name=name, prompt=longest, output=most, context=context)
        pressures = [(1, rate) for rate in self.rate] or [(clients, 0.0) for clients in self.concurrency]
        seconds = self.seconds or (USUAL_SECONDS if self.rate and not self.requests else 0.0)
        return [
            Load(prompt, output, clients, self.requests, seconds, rate, self.shared_prompt)
            for prompt, output, (clients, rate) in product(lengths, self.output_tokens, pressures)
        ]


def _number(text: str) -> float:
    """The number written, 0 for what is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0
