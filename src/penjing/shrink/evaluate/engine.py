"""A model on llama.cpp, as evaluation uses it: logits of windows, greedy answers, likelihoods of continuations. The
arithmetic is that of the engine that serves it: the same library, the same kernels, a KV cache of f16.

Does not know: texts, questions, what is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penjing.errors import InputError, Unsupported
from penjing.native.batch import Batch
from penjing.native.context import Context, Watcher
from penjing.native.model import Model
from penjing.shrink.evaluate.statistics import Logits, surprise

SLOTS = 8
"""Questions that are answered together."""
BATCH = 2048
"""Tokens that are handed over at once."""


class QuestionTooLong(InputError):
    """Facts: `tokens`, `context`."""

    template = "A question has {tokens} tokens; this model was trained for a context of {context}."
    hint = "Leave it out, or shorten it."
    code = "question_too_long"


@dataclass
class _Answer:
    """One that is being written: of question number `number`, in `tokens`; `place` is how many its sequence holds."""

    number: int
    place: int
    tokens: list[int] = field(default_factory=list)


class Engine:
    """The model at `path`, loaded. `threads` 0: one for each physical core. `watcher` sees, and may change, what is
    computed. Use as a context manager. Raises LibraryMissing, LoadFailed, Unsupported (no model that predicts
    tokens)."""

    def __init__(self, path: Path, name: str = "", threads: int = 0, watcher: Watcher | None = None) -> None:
        self.watcher = watcher
        self.path, self.name = path, name or path.name
        self.threads = threads or _cores()
        self.model = Model(path)
        if not self.model.generates:
            self.model.close()
            raise Unsupported(feature="predicting tokens", model=self.name)
        self.template = self.model.chat_template() or ""
        self.vocabulary = self.model.vocabulary_size
        begin = self.model.special("bos")
        self.bos = begin if self.model.begins else None
        self.bos_text, self.eos_text = self._shown("bos"), self._shown("eos")
        self._context: Context | None = None
        self._room = (0, 0)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free it."""
        self._leave()
        self.model.close()

    def _shown(self, name: str) -> str:
        token = self.model.special(name)
        return self.model.detokenize([token], special=True) if token is not None else ""

    def _leave(self) -> None:
        if self._context is not None:
            self._context.close()
            self._context = None

    def _within(self, tokens: int, sequences: int) -> Context:
        """A context of `tokens` for each of `sequences`, empty; the last one where it has that form."""
        if self._context is None or self._room != (tokens, sequences):
            self._leave()
            room = tokens * sequences
            self._context = Context(
                self.model, room, sequences, threads=self.threads, batch=BATCH, watcher=self.watcher
            )
            self._room = (tokens, sequences)
        self._context.memory.clear()
        return self._context

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """As `texts.windows.Tokenizer`."""
        return self.model.tokenize(text, special=special, begin=False)

    def begun(self, tokens: Sequence[int]) -> list[int]:
        """`tokens` behind the token that the model begins a text with, unless they have it."""
        if self.bos is None or (tokens and tokens[0] == self.bos):
            return list(tokens)
        return [self.bos, *tokens]

    def logits(self, tokens: NDArray[np.int32], wanted: NDArray[np.bool_] | None = None) -> Logits:
        """f32 [n, vocabulary]: for each of the tokens of a text that is `wanted` (bool [len(tokens)], all where None)
        what comes after it. Raises DecodeFailed."""
        asked = np.ones(len(tokens), np.bool_) if wanted is None else wanted
        return self._computed(self._within(len(tokens), 1), tokens, asked)

    @staticmethod
    def _computed(context: Context, tokens: NDArray[np.int32], wanted: NDArray[np.bool_]) -> Logits:
        batch = Batch(min(len(tokens), context.batch_size))
        found = []
        for start in range(0, len(tokens), batch.capacity):
            some = slice(start, start + batch.capacity)
            batch.clear()
            batch.extend(tokens[some], start, wanted=wanted[some])
            context.decode(batch)
            found.append(context.logits().copy())
        return found[0] if len(found) == 1 else np.concatenate(found)

    def answers(
        self,
        prompts: Sequence[Sequence[int]],
        most: int,
        until: Sequence[str] = (),
        told: Callable[[int], None] | None = None,
    ) -> list[str]:
        """The greedy continuation of each prompt (tokens), at most `most` tokens, without special tokens; it ends
        before any of the words `until`. Several are written at once. `told` hears how many are done, and cancels by
        raising. Raises QuestionTooLong, DecodeFailed."""
        longest = max(map(len, prompts), default=1)
        limit = self.model.trained_context or longest + most
        if longest >= limit:
            raise QuestionTooLong(tokens=longest, context=limit)
        slots = max(1, min(SLOTS, len(prompts)))
        context = self._within(min(longest + most, limit), slots)
        return _Writing(self, context, prompts, most, until).all(slots, told or (lambda count: None))

    def likelihoods(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], told: Callable[[int], None] | None = None
    ) -> list[tuple[float, bool]]:
        """For each (what is given, what follows), in tokens: ln p(what follows), nats, and whether it is what greedy
        decoding would write. What is given must not be empty. Raises QuestionTooLong, DecodeFailed."""
        longest = max((len(given) + len(then) for given, then in pairs), default=1)
        limit = self.model.trained_context or longest
        if longest > limit:
            raise QuestionTooLong(tokens=longest, context=limit)
        found: list[tuple[float, bool]] = []
        for given, then in pairs:
            if told is not None:
                told(len(found))
            found.append(self._likelihood(list(given), list(then), longest))
        return found

    def _likelihood(self, given: list[int], then: list[int], room: int) -> tuple[float, bool]:
        tokens = np.array((given + then)[:-1], np.int32)
        logits = self._computed(self._within(room, 1), tokens, np.arange(len(tokens)) >= len(given) - 1)
        targets = np.array(then, np.int32)
        return -float(surprise(logits, targets).sum()), bool((logits.argmax(axis=1) == targets).all())


class _Writing:
    """Answers to `prompts`, several sequences at a time: a step computes one token of each, and the whole prompt of
    those that take a free place."""

    def __init__(
        self, engine: Engine, context: Context, prompts: Sequence[Sequence[int]], most: int, until: Sequence[str]
    ) -> None:
        self.engine, self.context, self.prompts, self.most, self.until = engine, context, prompts, most, until
        self.found = [""] * len(prompts)
        self.batch = Batch(context.batch_size)

    def all(self, slots: int, told: Callable[[int], None]) -> list[str]:
        """All of them."""
        waiting = iter(range(len(self.prompts)))
        writing: dict[int, _Answer] = {}
        done = 0
        while True:
            told(done)
            for slot in range(slots):
                if slot not in writing and (number := next(waiting, None)) is not None:
                    writing[slot] = self._begin(slot, number)
            if not writing:
                return self.found
            done += self._step(writing)

    def _begin(self, slot: int, number: int) -> _Answer:
        """The prompt without its last token is read; that one is what the next step computes."""
        prompt = list(self.prompts[number])
        self.context.memory.remove(slot)
        for start in range(0, len(prompt) - 1, self.batch.capacity):
            self.batch.clear()
            self.batch.extend(prompt[:-1][start : start + self.batch.capacity], start, slot)
            self.context.decode(self.batch)
        return _Answer(number, len(prompt) - 1)

    def _step(self, writing: dict[int, _Answer]) -> int:
        """One more token of each; returns how many ended."""
        self.batch.clear()
        for slot, answer in writing.items():
            last = answer.tokens[-1] if answer.tokens else self.prompts[answer.number][-1]
            self.batch.add(last, answer.place, (slot,), wanted=True)
        self.context.decode(self.batch)
        ended = 0
        for (slot, answer), token in zip(list(writing.items()), self.context.logits().argmax(axis=1), strict=True):
            answer.place += 1
            if self._ends(answer, int(token)):
                self.found[answer.number] = self._text(answer)
                del writing[slot]
                ended += 1
        return ended

    def _ends(self, answer: _Answer, token: int) -> bool:
        if token in self.engine.model.ends:
            return True
        answer.tokens.append(token)
        if len(answer.tokens) >= self.most or answer.place >= self.context.tokens_each:
            return True
        return bool(self.until) and any(stop in self._whole(answer) for stop in self.until)

    def _whole(self, answer: _Answer) -> str:
        return self.engine.model.detokenize(answer.tokens)

    def _text(self, answer: _Answer) -> str:
        text = self._whole(answer)
        places = [at for stop in self.until if (at := text.find(stop)) >= 0]
        return text[: min(places)] if places else text


def _cores() -> int:
    import psutil

    return psutil.cpu_count(logical=False) or 1


@contextmanager
def engines(model: Path, parent: Path | None, threads: int = 0) -> Iterator[tuple[Engine, Engine | None]]:
    """Both, loaded, until the block ends."""
    with Engine(model, threads=threads) as ours:
        if parent is None:
            yield ours, None
        else:
            with Engine(parent, threads=threads) as theirs:
                yield ours, theirs
