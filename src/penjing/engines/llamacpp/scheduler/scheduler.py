"""What is computed in each step: running answers go on, prompts are read in pieces beside them.

A prompt begins with what any sequence has of it in the cache, also of one that is still being read: who comes second
waits for the first to read what both begin with. Answers that are over stay in the cache until the room is needed, the
one that was not used for the longest time goes first.

Does not know: text, HTTP, threads of Python: `step` is called from one of them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from penjing.engines.llamacpp.scheduler.asked import Ask
from penjing.engines.llamacpp.scheduler.pace import Pace
from penjing.engines.llamacpp.scheduler.shelf import Shelf
from penjing.engines.llamacpp.scheduler.stream import Stream
from penjing.engines.llamacpp.scheduler.tree import Tree, common
from penjing.errors import ContextOverflow, PenjingError
from penjing.native.batch import Batch
from penjing.native.context import Context
from penjing.native.faults import CacheFull, DecodeFailed
from penjing.native.memory import END
from penjing.native.sampler import Sampler

WORTH = 16
"""Tokens that it is worth waiting for while another reads them."""
AHEAD = 32
"""Cells that are left for each running answer to grow into before another is let in."""
KEPT = 64
"""Tokens that are worth a file."""
FEW = 4
"""Answers beside which guesses pay: more fill the processor without them."""


class Scheduler:
    """Answers of `context`, at most `slots` at once, each of at most `each` tokens with its prompt. Not for several
    threads of Python. It computes with `threads` at most. What leaves the cache goes to the `shelf`, and comes
    back from there."""

    def __init__(
        self,
        context: Context,
        slots: int,
        each: int | None = None,
        *,
        threads: int = 1,
        shelf: Shelf | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        model = context.model
        self.context, self.slots, self.each = context, slots, min(each or context.tokens, context.tokens)
        self.partial = not model.recurrent and not model.window
        self.tree = Tree()
        self.running: list[Stream] = []
        self.waiting: deque[Stream] = deque()
        self.resting: dict[int, None] = {}  # the one used last is last
        self._shelf, self._clock = shelf, clock
        self._pace, self._used = Pace(threads, context.ubatch_size), 0
        self._batch = Batch(context.batch_size)
        self._free = list(range(context.sequences))[::-1]

    @property
    def idle(self) -> bool:
        """Whether nobody waits for anything."""
        return not self.running and not self.waiting

    @property
    def free(self) -> int:
        """Sequences that nobody has: all that neither run nor rest."""
        return len(self._free)

    def submit(self, ask: Ask) -> None:
        """Answer `ask` in the steps to come. Raises ContextOverflow, GrammarRefused, WrongUse for tokens that there
        are not; where the prompt leaves less room than `limit`, the answer is as long as there is room."""
        if not 0 < len(ask.prompt) < self.each:
            raise ContextOverflow(tokens=len(ask.prompt), context=self.each)
        for token in ask.prompt:
            self.context.model.check(token)
        ask.limit = max(1, min(ask.limit, self.each - len(ask.prompt)))
        sampler = Sampler(self.context.model, ask.sampling)
        for token in ask.prompt if ask.sampling.penalizes else ():
            sampler.accept(token, prompt=True)
        self.waiting.append(Stream(ask, sampler))

    def step(self) -> bool:
        """Compute once; False where there is nothing to do."""
        self._forget_cancelled()
        self._admit()
        work = self._fill()
        if not work:
            return False
        try:
            self._compute(sum(count for stream, count in work if not stream.answering))
        except CacheFull:
            self._make_room()
        except PenjingError as error:
            for stream, _ in work:
                self._end(stream, error)
        else:
            self._learn(work)
        return True

    def close(self) -> None:
        """Everyone who waits is told nothing more; what is in the cache goes to the shelf."""
        for stream in list(self.running):
            self._retire(stream)
        self.waiting.clear()
        for sequence in list(self.resting):
            self._drop(sequence)
        if self._shelf:
            self._shelf.close()

    def keep(self, sequence: int) -> bool:
        """Put a copy of `sequence` on the shelf; False where it is there, not worth it, or there is no place."""
        tokens = self.tree.tokens(sequence) if self._shelf else []
        if self._shelf is None or len(tokens) < KEPT or self._shelf.has(tokens):
            return False
        return self._shelf.save(tokens, self.context.memory.save(sequence))

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
            self._fetch(stream.tokens)
            source, length = self._beginning(stream.tokens)
            if self._follows(stream, length):
                later.append(stream)
                continue
            taking = source in self.resting and length == self.tree.length(source)
            if not self._room(len(stream.tokens) - length, source, sequence=not taking):
                later.append(stream)
                break
            self._begin(stream, source, length, taking=taking)
        later.extend(self.waiting)
        self.waiting = later

    def _fetch(self, tokens: list[int]) -> None:
        """Where the shelf has clearly more of the beginning of `tokens` than the cache, take it from there."""
        held = self._beginning(tokens)[1] if self._shelf else 0
        found = self._shelf.find(tokens[:-1], held + KEPT) if self._shelf else None
        if self._shelf is None or found is None:
            return
        path, same = found
        cells = self._shelf.length(path)
        if not (self.partial or same == cells) or not self._room(cells, -1, sequence=True):
            return
        loaded = self._shelf.load(path)
        if loaded is None:
            return
        sequence = self._free.pop()
        try:
            self.context.memory.load(sequence, loaded[1])
        except DecodeFailed as error:
            self._shelf.refuse(path, str(error))
            self._free.append(sequence)
            return
        self.tree.begin(sequence)
        self.tree.extend(sequence, loaded[0])
        self.resting[sequence] = None

    def _beginning(self, tokens: list[int]) -> tuple[int, int]:
        """Which sequence has most of the beginning of `tokens`, and how much; the last is always computed."""
        source, length = self.tree.find(tokens[:-1])
        if source >= 0 and not self.partial and length < self.tree.length(source):
            return -1, 0  # a state cannot be cut
        return source, length

    def _follows(self, stream: Stream, length: int) -> bool:
        """Whether somebody is reading more of what it begins with than is there now."""
        if not self.partial:
            return False
        reading = (one for one in self.running if not one.answering)
        shared = (common(one.tokens, stream.tokens[:-1], 0) for one in reading)
        return any(each >= length + WORTH for each in shared)

    def _room(self, cells: int, source: int, *, sequence: bool) -> bool:
        """Whether `cells` more fit beside what is running, and a free `sequence` where that is wanted; what rests goes
        for it, but for `source`."""
        growing = sum(one.pending + AHEAD for one in self.running)
        for resting in list(self.resting):
            if self._fits(cells + growing) and (self._free or not sequence):
                return True
            if resting != source:
                self._drop(resting)
        fits = self._fits(cells + growing) or not self.running
        return fits and (bool(self._free) or not sequence)

    def _fits(self, cells: int) -> bool:
        return self.tree.cells + cells <= self.context.tokens

    def _begin(self, stream: Stream, source: int, length: int, *, taking: bool) -> None:
        if taking:
            stream.sequence = source
            del self.resting[source]
        else:
            stream.sequence = self._free.pop()
            if length:
                self.context.memory.copy(source, stream.sequence, 0, length if self.partial else END)
                self.tree.fork(source, stream.sequence, length)
                if source in self.resting:
                    self.resting[source] = self.resting.pop(source)
            else:
                self.tree.begin(stream.sequence)
        stream.done = length
        stream.ask.cached = max(stream.ask.cached, min(length, len(stream.ask.prompt)))
        self.running.append(stream)

    def _fill(self) -> list[tuple[Stream, int]]:
        """Put the next step into the batch; who takes part, with how many of the known tokens."""
        self._batch.clear()
        answering = [stream for stream in self.running if stream.answering]
        reading = [stream for stream in self.running if not stream.answering]
        chunk = min(self._pace.chunk.size(len(answering)), sum(stream.pending for stream in reading))
        for resting in list(self.resting):
            if self._fits(len(answering) + chunk):
                break
            self._drop(resting)
        work: list[tuple[Stream, int]] = []
        for stream in answering:
            drafts = self._guesses(stream, len(answering))
            self._batch.extend([stream.tokens[-1], *drafts], stream.done, stream.sequence, wanted=True)
            work.append((stream, 1))
        left = min(chunk, self._batch.room, self.context.tokens - self.tree.cells - len(self._batch))
        for stream, count in portions(reading, left):
            piece = stream.tokens[stream.done : stream.done + count]
            last = self._batch.extend(piece, stream.done, stream.sequence) + count - 1
            self._batch.wanted[last] = stream.pending == count
            work.append((stream, count))
        return work

    def _guesses(self, stream: Stream, answers: int) -> list[int]:
        if not (stream.ask.guess and self.partial and answers <= FEW):
            return []
        spare = self.context.tokens - self.tree.cells - len(self._batch) - AHEAD
        return stream.guess(min(spare, self._batch.room - AHEAD)) if spare > 0 else []

    def _compute(self, prompt: int) -> None:
        """Compute the batch, which has so many tokens of prompts."""
        threads = self._pace.threads(prompt)
        if threads != self._used:
            self.context.set_threads(threads)
            self._used = threads
        begun = self._clock()
        self.context.decode(self._batch)
        self._pace.learn(threads, prompt, len(self._batch) - prompt, self._clock() - begun)

    def _learn(self, work: list[tuple[Stream, int]]) -> None:
        """What was computed is in the cache; who got logits chooses."""
        logits, row = self.context.logits(), 0
        for stream, count in work:
            drafts = stream.drafts
            self.tree.extend(stream.sequence, [*stream.tokens[stream.done : stream.done + count], *drafts])
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
            if stream.done < self.tree.length(stream.sequence):
                self.context.memory.remove(stream.sequence, stream.done)
                self.tree.cut(stream.sequence, stream.done)
            if stream.over:
                self._retire(stream)

    def _make_room(self) -> None:
        """The library found no place though cells are free by our count: somebody has to go."""
        if self.resting:
            self._drop(next(iter(self.resting)))
            return
        stream = self.running.pop()  # the last that came goes on later, from the beginning
        self._forget(stream.sequence)
        self.waiting.appendleft(Stream(stream.ask, stream.sampler))

    def _retire(self, stream: Stream) -> None:
        """It is over; what it has in the cache may be somebody's beginning."""
        self.running.remove(stream)
        stream.sampler.close()
        if stream.done:
            self.resting[stream.sequence] = None
        else:
            self._forget(stream.sequence)

    def _end(self, stream: Stream, error: Exception) -> None:
        self.running.remove(stream)
        stream.sampler.close()
        self._forget(stream.sequence)
        stream.fail(error)

    def _drop(self, sequence: int) -> int:
        """A resting sequence leaves the cache; how many cells that freed."""
        del self.resting[sequence]
        self.keep(sequence)
        return self._forget(sequence)

    def _forget(self, sequence: int) -> int:
        self.context.memory.remove(sequence)
        self._free.append(sequence)
        return self.tree.drop(sequence)


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
