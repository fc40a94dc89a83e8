"""What is computed in each step: running answers go on, prompts are read in pieces beside them.

A prompt begins with what any sequence has of it in the cache, also of one that is still being read: who comes second
waits for the first to read what both begin with. Answers with different LoRA adapters (voices) take turns: a step
computes with one choice of them.

Does not know: text, HTTP, threads of Python: `step` is called from one of them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from penjing.engines.llamacpp.scheduler.asked import Ask, Voice
from penjing.engines.llamacpp.scheduler.cache import Cache
from penjing.engines.llamacpp.scheduler.pace import Pace
from penjing.engines.llamacpp.scheduler.shelf import Shelf
from penjing.engines.llamacpp.scheduler.stream import Stream
from penjing.engines.llamacpp.scheduler.tree import common
from penjing.errors import ContextOverflow, PenjingError
from penjing.native.batch import Batch
from penjing.native.context import Context
from penjing.native.faults import Aborted, CacheFull
from penjing.native.model import Adapter
from penjing.native.sampler import Sampler

WORTH = 16
"""Tokens that it is worth waiting for while another reads them."""
AHEAD = 32
"""Cells that are left for each running answer to grow into before another is let in."""
RESTING = 4
"""Of the cache such a part is for conversations that are over, or one conversation's length where that is more."""
CLOSING = 3.0
"""Seconds for what is in the cache to be handed to the shelf at the end: who ends a worker waits five."""
FEW = 4
"""Answers beside which guesses pay: more fill the processor without them."""


class Guesser(Protocol):
    """Who knows what may come next where the prompt does not tell."""

    def guess(self, stream: Stream, most: int) -> list[int]:
        """Up to `most` tokens."""

    def forget(self, stream: Stream) -> None:
        """It is over."""

    def set_threads(self, count: int) -> None:
        """Compute with so many."""


class Scheduler:
    """Answers of `context`, at most `slots` at once, each of at most `each` tokens with its prompt. Not for several
    threads of Python. It computes with `threads` at most, with those of the `adapters` that an answer asks for. What
    leaves the cache goes to the `shelf`, and comes back from there. `free` is Pace's. With `shift` an answer for which
    there is no more room forgets its oldest tokens; else it ends there."""

    def __init__(
        self,
        context: Context,
        slots: int,
        each: int | None = None,
        *,
        threads: int = 1,
        shelf: Shelf | None = None,
        adapters: Sequence[Adapter] = (),
        guesser: Guesser | None = None,
        shift: bool = False,
        free: Callable[[float], float | None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.context, self.slots, self.each = context, slots, min(each or context.tokens, context.tokens)
        self.cache = Cache(context, shelf, max(self.each, context.tokens // RESTING))
        self.running: list[Stream] = []
        self.waiting: deque[Stream] = deque()
        self.working: list[Stream] = []
        self.pace = Pace(threads, context.ubatch_size, free)
        self._adapters, self._guesser, self._shift, self._clock = tuple(adapters), guesser, shift, clock
        self._used, self._voice = 0, Voice()
        self._batch = Batch(context.batch_size)

    @property
    def idle(self) -> bool:
        """Whether nobody waits for anything."""
        return not self.running and not self.waiting

    def submit(self, ask: Ask) -> None:
        """Answer `ask` in the steps to come. Raises ContextOverflow, GrammarRefused, WrongUse for tokens that there
        are not; where the prompt leaves less room than `limit`, the answer is as long as there is room."""
        if not 0 < len(ask.prompt) < self.each:
            raise ContextOverflow(tokens=len(ask.prompt), context=self.each)
        for token in ask.prompt:
            self.context.model.check(token)
        if not self._shift:
            ask.limit = min(ask.limit, self.each - len(ask.prompt))
        ask.limit = max(1, ask.limit)
        sampler = Sampler(self.context.model, ask.sampling)
        for token in ask.prompt if ask.sampling.remembers else ():
            sampler.accept(token, prompt=True)
        self.waiting.append(Stream(ask, sampler))

    def step(self) -> bool:
        """Compute once; False where there is nothing to do."""
        self._forget_cancelled()
        self._admit()
        work = self._fill()
        if not work:
            return False
        self.working = [stream for stream, _ in work]
        try:
            self._compute(sum(count for stream, count in work if not stream.answering))
        except CacheFull:
            self._make_room()
        except Aborted:
            self._undo(self.working)
        except PenjingError as error:
            for stream in self.working:
                self._end(stream, error)
        else:
            self._learn(work)
        self.working = []
        return True

    def cancel(self, ask: Ask) -> None:
        """Nobody waits for `ask` any more, said from any thread; the step that is computed for such only is given
        up."""
        ask.cancelled = True
        working = self.working
        if working and all(stream.ask.cancelled for stream in working):
            self.context.stop()

    def close(self) -> None:
        """Everyone who waits is told nothing more; what is in the cache goes to the shelf."""
        for stream in list(self.running):
            self._retire(stream)
        self.waiting.clear()
        until = time.monotonic() + CLOSING
        for sequence in list(self.cache.resting)[::-1]:  # the newest first: there may not be time for all
            self.cache.drop(sequence, wait=max(0.0, until - time.monotonic()))
        if self.cache.shelf:
            self.cache.shelf.close()

    def _forget_cancelled(self) -> None:
        for stream in [one for one in self.running if one.ask.cancelled]:
            self._retire(stream)
        if any(stream.ask.cancelled for stream in self.waiting):
            self.waiting = deque(stream for stream in self.waiting if not stream.ask.cancelled)

    def _admit(self) -> None:
        """Let in who waits, in order, while there is room."""
        later: deque[Stream] = deque()
        while self.waiting and len(self.running) < self.slots:
            stream = self.waiting.popleft()
            source, length = self._beginning(stream)
            if self._follows(stream, length):
                later.append(stream)
                continue
            taking = source in self.cache.resting and length == self.cache.tree.length(source)
            growing = sum(one.pending + AHEAD for one in self.running)
            cells = len(stream.tokens) - length + growing
            if not self.cache.room(cells, source, sequence=not taking, alone=not self.running):
                later.append(stream)
                break
            self._begin(stream, source, length)
        later.extend(self.waiting)
        self.waiting = later

    def _beginning(self, stream: Stream) -> tuple[int, int]:
        """The sequence that has most of what it begins with, and how much of it; (-1, 0) for none."""
        if not stream.ask.reuse:
            return -1, 0
        self.cache.fetch(stream.tokens, stream.ask.voice)
        return self.cache.beginning(stream.tokens, stream.ask.voice)

    def _follows(self, stream: Stream, length: int) -> bool:
        """Whether somebody is reading more of what it begins with than is there now."""
        if not (self.cache.partial and stream.ask.reuse):
            return False
        reading = (one for one in self.running if not one.answering and one.ask.voice == stream.ask.voice)
        shared = (common(one.tokens, stream.tokens[:-1], 0) for one in reading)
        return any(each >= length + WORTH for each in shared)

    def _begin(self, stream: Stream, source: int, length: int) -> None:
        stream.sequence = self.cache.begin(source, length, stream.ask.voice)
        stream.done = length
        stream.ask.cached = max(stream.ask.cached, min(length, len(stream.ask.prompt)))
        self.running.append(stream)

    def _turn(self) -> list[Stream]:
        """Those who are computed in the next step: all of one voice, after the voice of the last one."""
        voices = list(dict.fromkeys(stream.ask.voice for stream in self.running))
        after = voices.index(self._voice) + 1 if self._voice in voices else 0
        voice = voices[after % len(voices)] if voices else self._voice
        return [stream for stream in self.running if stream.ask.voice == voice]

    def _fill(self) -> list[tuple[Stream, int]]:
        """Put the next step into the batch; who takes part, with how many of the known tokens."""
        self._batch.clear()
        taking = self._turn()
        for stream in taking if self._shift else ():
            self._shift_one(stream)
        answering = [stream for stream in taking if stream.answering]
        reading = [stream for stream in taking if not stream.answering]
        chunk = min(self.pace.chunk.size(len(answering), len(reading)), sum(stream.pending for stream in reading))
        self.cache.room(len(answering) + chunk, sequence=False)
        work: list[tuple[Stream, int]] = []
        for stream in answering:
            drafts = self._guesses(stream, len(answering))
            self._batch.extend([stream.tokens[-1], *drafts], stream.done, stream.sequence, wanted=True)
            work.append((stream, 1))
        left = min(chunk, self._batch.room, self.context.tokens - self.cache.tree.cells - len(self._batch))
        for stream, count in portions(reading, left):
            piece = stream.tokens[stream.done : stream.done + count]
            last = self._batch.extend(piece, stream.done, stream.sequence) + count - 1
            self._batch.wanted[last] = stream.pending == count
            work.append((stream, count))
        return work

    def _shift_one(self, stream: Stream) -> None:
        """Where a conversation is full, forget half of what follows the part of its prompt that is kept."""
        if len(stream.tokens) < self.each or not stream.answering:
            return
        keep = min(stream.ask.keep, self.each // 2)
        gone = (len(stream.tokens) - keep) // 2
        stream.forget(keep, gone)
        tree, memory = self.cache.tree, self.context.memory
        if self.cache.partial and memory.shiftable and tree.alone(stream.sequence) == tree.length(stream.sequence):
            stream.done = len(self.cache.shift(stream.sequence, keep, gone))
            return
        self.cache.forget(stream.sequence)  # others have a part of it, or it cannot be moved: it is read again
        stream.sequence = self.cache.begin(-1, 0, stream.ask.voice)
        stream.done = 0

    def _guesses(self, stream: Stream, answers: int) -> list[int]:
        if not (stream.ask.guess and self.cache.partial and answers <= FEW):
            return []
        room = self.context.tokens - self.cache.tree.cells - len(self._batch) - AHEAD
        most = min(room, self._batch.room - AHEAD, self.each - len(stream.tokens) - 1)
        return stream.guess(most, self._guesser) if most > 0 else []

    def _compute(self, prompt: int) -> None:
        """Compute the batch, which has so many tokens of prompts."""
        voice = self.working[0].ask.voice
        if voice != self._voice:
            self.context.adapt([pair for pair in zip(self._adapters, voice, strict=True) if pair[1]])
            self._voice = voice
        threads = self.pace.threads(prompt)
        if threads != self._used:
            for each in (self.context, self._guesser):
                if each is not None:
                    each.set_threads(threads)
            self._used = threads
        begun = self._clock()
        self.context.decode(self._batch)
        self.pace.learn(threads, prompt, len(self._batch) - prompt, self._clock() - begun)

    def _learn(self, work: list[tuple[Stream, int]]) -> None:
        """What was computed is in the cache; who got logits chooses."""
        logits, row = self.context.logits(), 0
        for stream, count in work:
            drafts = stream.drafts
            self.cache.tree.extend(stream.sequence, [*stream.tokens[stream.done : stream.done + count], *drafts])
            stream.done += count
            if stream.pending:
                continue
            rows = logits[row : row + 1 + len(drafts)]
            row += len(rows)
            try:
                stream.done += stream.hear(rows)
            except PenjingError as error:
                self._end(stream, error)
                continue
            self.cache.cut(stream.sequence, stream.done)
            if stream.over:
                self._retire(stream)

    def _make_room(self) -> None:
        """The library found no place though cells are free by our count: somebody has to go."""
        if self.cache.resting:
            self.cache.drop(next(iter(self.cache.resting)))
            return
        stream = self.running.pop()  # the last that came goes on later, from the beginning
        self.cache.forget(stream.sequence)
        self.waiting.appendleft(stream.again())

    def _undo(self, work: list[Stream]) -> None:
        """The step was given up on the way: what it left in the cache goes."""
        for stream in work:
            stream.drafts = []
            if not self.context.memory.remove(stream.sequence, stream.done):
                self.running.remove(stream)  # a state cannot be cut: it is read again
                self.cache.forget(stream.sequence)
                self.waiting.appendleft(stream.again())

    def _retire(self, stream: Stream) -> None:
        """It is over; what it has in the cache may be somebody's beginning."""
        self._leave(stream)
        self.cache.release(stream.sequence)

    def _end(self, stream: Stream, error: Exception) -> None:
        self._leave(stream)
        self.cache.forget(stream.sequence)
        stream.fail(error)

    def _leave(self, stream: Stream) -> None:
        self.running.remove(stream)
        stream.sampler.close()
        if self._guesser is not None:
            self._guesser.forget(stream)


def portions(reading: list[Stream], room: int) -> list[tuple[Stream, int]]:
    """Who reads how much of `room` tokens: half is for who came first, the rest for who has least left to read."""
    if not reading or room <= 0:
        return []
    shares = {reading[0]: min(reading[0].pending, -(-room // 2) if len(reading) > 1 else room)}
    room -= shares[reading[0]]
    for stream in sorted(reading, key=lambda one: one.pending):
        more = min(stream.pending - shares.get(stream, 0), room)
        shares[stream] = shares.get(stream, 0) + more
        room -= more
    return [(stream, count) for stream, count in shares.items() if count]
