"""How large the next step may be and how many threads compute it, from what the last ones took.

Other programs on the machine take cores away and give them back. How many they leave is believed first; then the time
of a step decides. Two numbers of threads are tried in turn, so that what happens meanwhile happens to both.

Does not know: what a step is made of, where free cores are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

TRIES = 3
"""Steps with each of two numbers of threads."""
CALM, RARE = 64, 512
"""Steps between two trials when nothing is odd: usually, and where there are as many threads as cores are free."""
SURE = 0.7
"""Cores by which what is free must differ from what it was taken for, to be taken for something else."""
ODD = 1.5
"""A step that takes so many times its usual time starts a trial."""
BETTER = 0.94
"""Share of the other's time that is worth a change: less would sway to and fro."""
RECENT = 9
"""Steps that say what is usual."""

PATIENCE, LONGEST = 0.15, 0.5
"""Seconds that a step may take while answers are running, which is what their readers wait between two tokens: the
first where one prompt is read beside many answers, the other where as many wait for their first token as read on.
Larger steps take less time for each token of a prompt."""
LEAST = 16
"""Tokens of a prompt that are computed in a step at least."""
TILE = 64
"""Tokens of a step from which on attention is computed in tiles (ggml-cpu/ops.cpp, GGML_FA_TILE_Q): deep in a long
conversation each then takes a fraction of its time."""
MUCH = 0.5
"""Of a token's time in small steps: where tiles take less than that, they are worth a longer step."""
SHARE = 0.3
"""How much the newest step counts in what a token takes."""


class Threads:
    """How many threads, `most` at most; begins with `start`. Where steps are `long`, fewer threads are tried only where
    others take cores: a step that is tried in vain is somebody's wait."""

    def __init__(self, most: int, start: int | None = None, *, long: bool = False) -> None:
        self.most, self._long = max(1, most), long
        self.count = min(start or self.most, self.most)
        self._recent: list[float] = []
        self._steps = CALM - RECENT  # the machine may be busy already: the first trial comes early
        self._other = 0
        self._times: tuple[list[float], list[float]] = ([], [])
        self._down = True
        self._free = 0
        """Cores that others leave; 0 where nobody told."""

    def next(self) -> int:
        """For the next step."""
        if self._other and len(self._times[1]) < len(self._times[0]):
            return self._other
        return self.count

    def learn(self, used: int, seconds: float) -> None:
        """A step with `used` threads took so many seconds, per unit of its work."""
        if self._other:
            mine, others = self._times
            (mine if used == self.count else others).append(seconds)
            lost = bool(mine and others) and others[-1] > ODD * mine[-1]
            won = bool(mine) and len(others) > 1 and max(others) * ODD < min(mine)
            if lost or won or min(map(len, self._times)) == TRIES:
                self._decide()
            return
        usual = median(self._recent) if self._recent else seconds
        self._recent = [*self._recent[1 - RECENT :], seconds]
        self._steps += 1
        fits = self.count == self._fitting
        if self.most == 1 or (fits and self._long):
            return
        odd = self.count > 1 and len(self._recent) == RECENT and seconds > ODD * usual
        if odd or self._steps >= (RARE if fits else CALM):
            self._try(sudden=odd)

    def leave(self, cores: float) -> None:
        """Others leave so many: where that is news, it is believed at once and soon looked into; fewer for long steps,
        which a thread too many hardly delays, are only looked into."""
        if self._free and abs(cores - self._free) <= SURE:
            return
        self._free = max(1, round(cores))
        if self._fitting < self.count and self._long:
            self._steps = max(self._steps, CALM - RECENT)
        elif self._other or self._fitting != self.count:
            self.count, self._other, self._steps = self._fitting, 0, RARE - RECENT
            self.forget()

    @property
    def _fitting(self) -> int:
        """As many as cores are free; 0 where nobody told."""
        return min(self._free, self.most)

    def allow(self, most: int) -> None:
        """From now on `most` at most; where that changed, what was found before it counts no more."""
        most = max(1, most)
        if most != self.most:
            self.count = most if self.count >= min(most, self.most) else self.count
            self.most, self._other = most, 0
            self.forget()

    def forget(self) -> None:
        """The steps to come are others: what was usual is not, and a trial begins again."""
        self._recent.clear()
        self._times = ([], [])

    def _try(self, *, sudden: bool) -> None:
        """Compare with fewer threads (with half where something happened) or, every other time, with more."""
        part = max(1, self.count // (2 if sudden else 4))
        lower, higher = max(1, self.count - part), min(self.most, self.count + part)
        fewer = (sudden or self._down) and lower < self.count
        self._other = lower if fewer or higher == self.count else higher
        if self._fitting not in (0, self.count) and not sudden:
            self._other = self._fitting
        self._down, self._steps, self._times = not fewer, 0, ([], [])

    def _decide(self) -> None:
        mine, others = (median(times) for times in self._times)
        if others < BETTER * mine:
            self.count = self._other
        self._other, self._recent = 0, []


class Chunk:
    """How many tokens of prompts a step may have beside running answers; `most` where none is running."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._small = self._tiled = 0.0
        """Seconds that a token of a prompt takes, in steps of less than a TILE and in others."""
        self._decode = 0.0

    def size(self, answers: int, prompts: int = 1) -> int:
        """For the next step, with so many answers running and so many prompts being read."""
        if not answers:
            return self.most
        if not (self._small or self._tiled):
            return min(self.most, 8 * LEAST)
        patience = PATIENCE + (LONGEST - PATIENCE) * min(1.0, prompts / answers)
        small, tiled = self._small or self._tiled, self._tiled or self._small
        fits = int((patience - self._decode) / tiled)
        if fits + answers >= TILE:
            return min(self.most, fits)
        if tiled < MUCH * small and self._decode + TILE * tiled < LONGEST:
            return min(self.most, TILE)
        return min(self.most, TILE - 1, max(LEAST, int((patience - self._decode) / small)))

    def learn(self, prompt: int, answers: int, seconds: float) -> None:
        """A step with `prompt` tokens of prompts, and of `answers`, took so many seconds."""
        if not prompt:
            self._decode = _mixed(self._decode, seconds)
        elif prompt >= LEAST:
            rest = max(seconds - (self._decode if answers else 0.0), seconds / 2) / prompt
            if prompt + answers < TILE:
                self._small = _mixed(self._small, rest)
            else:
                self._tiled = _mixed(self._tiled, rest)


def _mixed(old: float, new: float) -> float:
    return new if not old else (1 - SHARE) * old + SHARE * new


class Pace:
    """Both, for steps that only go on with answers and for those that read prompts. `threads`: at most so many. `free`
    says how many cores other programs leave, where that is news, and is told how long the last step took."""

    def __init__(self, threads: int, chunk: int, free: Callable[[float], float | None] | None = None) -> None:
        self.chunk = Chunk(chunk)
        self._free = free or (lambda last: None)
        self._last = 0.0
        self._answering, self._reading = Threads(threads), Threads(threads, long=True)
        self._kind = 0
        self._most, self.used = threads, 1

    def allow(self, threads: int) -> None:
        """Compute with so many threads at most, and never with more than at the beginning."""
        for each in (self._answering, self._reading):
            each.allow(min(threads, self._most))

    def threads(self, prompt: int) -> int:
        """For a step with so many tokens of prompts."""
        free, self._last = self._free(self._last), 0.0
        if free is not None:
            self._answering.leave(free)
            self._reading.leave(free)
        self.used = (self._reading if prompt else self._answering).next()
        return self.used

    def learn(self, threads: int, prompt: int, answers: int, seconds: float) -> None:
        """A step with `prompt` tokens of prompts and of `answers`, computed with `threads`, took so many seconds."""
        self._last = seconds
        self.chunk.learn(prompt, answers, seconds)
        if prompt:
            self._reading.learn(threads, seconds / (prompt + answers))
        else:
            if answers != self._kind:
                self._answering.forget()
                self._kind = answers
            self._answering.learn(threads, seconds)
