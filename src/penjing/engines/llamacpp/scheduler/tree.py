"""Which sequences hold which tokens of the KV cache, and what they share: a tree whose runs of tokens are cells.

Sequences of different voices (LoRA adapters) share nothing: the same tokens are other numbers to them. A run belongs to
all sequences whose path goes through it. What two sequences computed apart is held twice, also where
the tokens are the same; what one took over from another is held once. So the tree counts cells exactly.

Does not know: the cache itself, who waits for what.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence


class Run:
    """`tokens` computed one after the other, after those of `parent`; `users` sequences go through it."""

    __slots__ = ("children", "parent", "tokens", "users")

    def __init__(self, parent: Run | None, tokens: list[int]) -> None:
        self.parent, self.tokens, self.users = parent, tokens, 0
        self.children: dict[int, list[Run]] = {}

    def adopt(self, child: Run) -> None:
        """`child` goes on after this."""
        self.children.setdefault(child.tokens[0], []).append(child)

    def disown(self, child: Run) -> None:
        """`child` no longer does."""
        siblings = self.children[child.tokens[0]]
        siblings.remove(child)
        if not siblings:
            del self.children[child.tokens[0]]


class Tree:
    """The tokens of all sequences. `cells` is how many cells of the cache they take together."""

    def __init__(self) -> None:
        self.cells = 0
        self._roots: dict[Hashable, Run] = {}
        self._ends: dict[int, Run] = {}
        self._lengths: dict[int, int] = {}
        self._voices: dict[int, Hashable] = {}

    def __contains__(self, sequence: int) -> bool:
        return sequence in self._ends

    def __iter__(self) -> Iterator[int]:
        return iter(self._ends)

    def length(self, sequence: int) -> int:
        """Tokens held of `sequence`; 0 where it is not there."""
        return self._lengths.get(sequence, 0)

    def tokens(self, sequence: int) -> list[int]:
        """The tokens of `sequence`, from its beginning."""
        return [token for run in self._path(sequence) for token in run.tokens]

    def voice(self, sequence: int) -> Hashable:
        """What it was begun with."""
        return self._voices[sequence]

    def begin(self, sequence: int, voice: Hashable = None) -> None:
        """`sequence` is there, and empty. It must not be there already."""
        assert sequence not in self._ends
        self._voices[sequence] = voice
        self._ends[sequence], self._lengths[sequence] = self._roots.setdefault(voice, Run(None, [])), 0

    def extend(self, sequence: int, tokens: Sequence[int]) -> None:
        """`tokens` were computed for `sequence`."""
        if not tokens:
            return
        end = self._ends[sequence]
        if end.parent is None or end.users > 1 or end.children:
            after = Run(end, list(tokens))
            after.users = 1
            end.adopt(after)
            self._ends[sequence] = after
        else:
            end.tokens.extend(tokens)
        self._lengths[sequence] += len(tokens)
        self.cells += len(tokens)

    def find(self, tokens: Sequence[int], voice: Hashable = None) -> tuple[int, int]:
        """The sequence that has the longest beginning of `tokens`, and how long that is; (-1, 0) where none has any."""
        root = self._roots.get(voice)
        best, length = root, 0
        waiting = [(root, 0)] if root else []
        while waiting:
            run, depth = waiting.pop()
            for child in run.children.get(tokens[depth], ()) if depth < len(tokens) else ():
                same = common(child.tokens, tokens, depth)
                if depth + same > length:
                    best, length = child, depth + same
                if same == len(child.tokens):
                    waiting.append((child, depth + same))
        if best is None or best is root:
            return -1, 0
        return next(sequence for sequence, end in self._ends.items() if self._passes(end, best)), length

    def fork(self, source: int, sequence: int, length: int) -> None:
        """`sequence` begins with the first `length` tokens of `source`, in the same cells."""
        assert sequence not in self._ends
        voice = self._voices[source]
        path, depth, end = self._path(source), 0, self._roots[voice]
        for run in path:
            if depth >= length:
                break
            if depth + len(run.tokens) > length:
                self._split(run, length - depth)
            run.users += 1
            depth += len(run.tokens)
            end = run
        self._ends[sequence], self._lengths[sequence] = end, length
        self._voices[sequence] = voice

    def cut(self, sequence: int, length: int) -> None:
        """`sequence` has its first `length` tokens only."""
        while self._lengths[sequence] > length:
            end = self._ends[sequence]
            excess = self._lengths[sequence] - length
            if excess < len(end.tokens):
                self._split(end, len(end.tokens) - excess)
            else:
                self._leave(sequence, end)

    def drop(self, sequence: int) -> int:
        """`sequence` is no longer there; how many cells that freed."""
        before = self.cells
        while self._ends[sequence].parent is not None:
            self._leave(sequence, self._ends[sequence])
        del self._ends[sequence], self._lengths[sequence], self._voices[sequence]
        return before - self.cells

    def alone(self, sequence: int) -> int:
        """Cells that only `sequence` holds."""
        return sum(len(run.tokens) for run in self._path(sequence) if run.users == 1)

    def _leave(self, sequence: int, end: Run) -> None:
        assert end.parent is not None
        end.users -= 1
        self._ends[sequence] = end.parent
        self._lengths[sequence] -= len(end.tokens)
        if end.users == 0:
            end.parent.disown(end)
            self.cells -= len(end.tokens)

    def _split(self, run: Run, at: int) -> None:
        """`run` keeps its first `at` tokens; the rest is a run after it, where those that ended here end now."""
        rest = Run(run, run.tokens[at:])
        rest.users, rest.children = run.users, run.children
        for siblings in rest.children.values():
            for child in siblings:
                child.parent = rest
        run.tokens, run.children = run.tokens[:at], {}
        run.adopt(rest)
        for sequence, end in self._ends.items():
            if end is run:
                self._ends[sequence] = rest

    def _path(self, sequence: int) -> list[Run]:
        """The runs of `sequence`, from its beginning."""
        run: Run | None = self._ends[sequence]
        found = []
        while run is not None and run.parent is not None:
            found.append(run)
            run = run.parent
        return found[::-1]

    def _passes(self, end: Run, run: Run) -> bool:
        one: Run | None = end
        while one is not None:
            if one is run:
                return True
            one = one.parent
        return False


def common(run: list[int], tokens: Sequence[int], start: int) -> int:
    """How many tokens of `run` are those of `tokens` from `start` on.

    >>> common([1, 2, 3], [9, 1, 2, 4], 1), common([1, 2], [1, 2, 3], 0)
    (2, 2)
    """
    part = list(tokens[start : start + len(run)])
    if run[: len(part)] == part:
        return len(part)
    low, high = 0, len(part)  # the first `low` are the same, the first `high` are not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if run[low:middle] == part[low:middle] else (low, middle)
    return low
