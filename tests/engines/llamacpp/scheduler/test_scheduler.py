"""Hypothesis drives the scheduler against the slow model: whatever arrives, leaves and shares, answers are those that
each would get alone, and the cache holds what the tree says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.llamacpp.scheduler.slow import VOCABULARY, Slow, answer, following
from penjing.engines.llamacpp.scheduler.asked import LENGTH, STOP, Ask, Said, Voice
from penjing.engines.llamacpp.scheduler.scheduler import Scheduler
from penjing.errors import ContextOverflow, PenjingError
from penjing.native.sampler import Sampling

GREEDY = Sampling(temperature=0)
ENDS = frozenset({0})


@dataclass
class Client:
    """Asks, and keeps what it hears; leaves after `patience` tokens."""

    prompt: list[int]
    limit: int
    patience: int = 10_000
    voice: Voice = (1.0,)
    reuse: bool = True
    heard: list[Said] = field(default_factory=list)

    def ask(self) -> Ask:
        self.asked = Ask(self.prompt, self.limit, self.hear, GREEDY, ENDS, voice=self.voice, reuse=self.reuse)
        return self.asked

    def hear(self, said: Said) -> bool:
        self.heard.append(said)
        return len(self.heard) < self.patience

    @property
    def tokens(self) -> list[int]:
        return [said.token for said in self.heard]


class Oracle:
    """Guesses what comes next, and is wrong at every third token."""

    def guess(self, stream: Any, most: int) -> list[int]:
        tokens = list(stream.tokens)
        for number in range(most):
            tokens.append(following(tokens, stream.ask.voice) if number % 3 < 2 else 1)
        return tokens[len(stream.tokens) :]

    def forget(self, stream: Any) -> None:
        assert stream.over or stream.ask.cancelled or stream.sequence >= 0

    def set_threads(self, count: int) -> None:
        assert count == 1


def made(context: Slow, slots: int = 4, **options: Any) -> Scheduler:
    return Scheduler(context, slots, adapters=("one",), **options)  # type: ignore[arg-type]  # it is what a context is to the scheduler


def run(scheduler: Scheduler, steps: int = 10_000) -> None:
    while not scheduler.idle:
        scheduler.step()
        check(scheduler)
        steps -= 1
        assert steps, "it never ends"


def check(scheduler: Scheduler) -> None:
    """The tree is what the cache holds."""
    context: Any = scheduler.context
    assert scheduler.cache.tree.cells == context.cells
    for sequence, cells in context.held.items():
        held = [cell.token for cell in cells]
        assert held == (scheduler.cache.tree.tokens(sequence) if sequence in scheduler.cache.tree else [])
    for stream in scheduler.running:
        assert stream.done == scheduler.cache.tree.length(stream.sequence)
    assert len(scheduler.running) <= scheduler.slots


prompts = st.builds(
    lambda shared, rest: (
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22][:shared] + rest
    ),
    st.integers(0, 22),
    st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=30),
)
clients = st.builds(
    Client,
    prompts,
    st.integers(1, 40),
    st.sampled_from([1, 3, 10_000]),
    st.sampled_from([(1.0,), (0.5,)]),
    st.booleans(),
)
events = st.one_of(
    clients,
    st.integers(1, 5).map(lambda steps: ("steps", steps)),
    st.integers(0, 9).map(lambda who: ("leave", who)),
    st.just(("stop", 0)),
)


@given(st.lists(events, max_size=30), st.integers(1, 5), st.sampled_from([100, 140, 400]), st.booleans(), st.booleans())
def test_answers_are_those_that_each_would_get_alone(
    happens: list[Any], slots: int, cells: int, state: bool, oracle: bool
) -> None:
    context = Slow(cells, slots + 2, state=state)
    scheduler = made(context, slots, each=96, guesser=Oracle() if oracle else None)
    asked: list[Client] = []
    for event in happens:
        if isinstance(event, Client):
            scheduler.submit(event.ask())
            asked.append(event)
            continue
        word, number = event
        if word == "leave" and number < len(asked):
            asked[number].asked.cancelled = True
        context.stopping = word == "stop"
        for _ in range(number if word == "steps" else 0):
            scheduler.step()
            check(scheduler)
    run(scheduler)
    for client in asked:
        whole = answer(client.prompt, min(client.limit, 96 - len(client.prompt)), ENDS, client.voice)
        assert client.tokens == whole[: len(client.tokens)]
        if not client.reuse:
            assert client.asked.cached == 0
        if not client.asked.cancelled:
            assert client.tokens == whole[: client.patience]
            last = STOP if whole[-1] in ENDS else LENGTH
            assert client.heard[-1].finish == (last if len(client.tokens) == len(whole) else "")
    scheduler.close()
    assert context.cells == 0


def test_what_is_over_holds_a_part_of_the_cache_only() -> None:
    context = Slow(1000, 12)
    scheduler = made(context, 4, each=100)
    for number in range(8):
        scheduler.submit(Client([number + 1] * 60, 1).ask())
    run(scheduler)
    assert [scheduler.cache.tree.tokens(one) for one in scheduler.cache.resting] == [[n] * 60 for n in range(5, 9)]
    assert context.cells == 240


def test_a_shared_beginning_is_computed_once() -> None:
    context = Slow(1000, 12, ubatch=64, batch=256)
    scheduler = made(context, 8)
    prefix = [1 + index % 20 for index in range(50)]
    clients = [Client([*prefix, index + 1, 3], 1) for index in range(8)]
    for client in clients:
        scheduler.submit(client.ask())
    run(scheduler)
    assert context.computed == 50 + 8 * 2
    assert [client.asked.cached for client in clients] == [0] + [50] * 7


def test_a_conversation_goes_on_where_it_was() -> None:
    context = Slow(400, 6)
    scheduler = made(context)
    first = Client([1, 2, 3], 10)
    scheduler.submit(first.ask())
    run(scheduler)
    before = context.computed
    again = Client([1, 2, 3, *first.tokens, 5, 6], 1)
    scheduler.submit(again.ask())
    run(scheduler)
    assert context.computed - before == 3  # the last token said was never computed
    assert len(scheduler.cache.resting) == 1


def test_a_long_prompt_does_not_stop_running_answers() -> None:
    context = Slow(2000, 8, ubatch=128, batch=512)
    scheduler = made(context, each=1000)
    talking = Client([1, 2], 60)
    scheduler.submit(talking.ask())
    scheduler.step()
    scheduler.step()
    scheduler.submit(Client([3 + index % 7 for index in range(500)], 2).ask())
    context.largest = 0
    heard = len(talking.heard)
    while len(scheduler.running) < 2 or not all(stream.answering for stream in scheduler.running):
        scheduler.step()
        assert len(talking.heard) > heard
        heard = len(talking.heard)
    assert context.largest <= 1 + 128 + 16


def test_what_rests_goes_when_room_is_needed_oldest_first() -> None:
    scheduler = made(Slow(120, 8), 2)
    for start in (1, 2, 3):
        scheduler.submit(Client([start] * 30, 1).ask())
        run(scheduler)
    assert [scheduler.cache.tree.tokens(one) for one in scheduler.cache.resting] == [[1] * 30, [2] * 30, [3] * 30]
    scheduler.submit(Client([9] * 40, 1).ask())
    run(scheduler)
    assert [scheduler.cache.tree.tokens(one) for one in scheduler.cache.resting] == [[2] * 30, [3] * 30, [9] * 40]


def test_a_prompt_that_does_not_fit_is_refused() -> None:
    scheduler = made(Slow(100, 4), each=50)
    with pytest.raises(ContextOverflow):
        scheduler.submit(Client([1] * 50, 1).ask())
    with pytest.raises(ContextOverflow):
        scheduler.submit(Client([], 1).ask())
    client = Client([1] * 45, 100)
    scheduler.submit(client.ask())
    run(scheduler)
    assert len(client.tokens) <= 5


def test_a_step_that_fails_ends_those_in_it() -> None:
    context = Slow(100, 4)
    scheduler = made(context)
    client = Client([1, 2, 3], 5)
    scheduler.submit(client.ask())

    def failing(batch: object) -> None:
        raise PenjingError(detail="broken")

    computing, context.decode = context.decode, failing  # type: ignore[method-assign]
    scheduler.step()
    assert isinstance(client.heard[-1].error, PenjingError)
    assert scheduler.idle
    context.decode = computing  # type: ignore[method-assign]
    again = Client([1, 2, 3], 5)
    scheduler.submit(again.ask())
    run(scheduler)
    assert again.tokens


@pytest.mark.parametrize("shared", [False, True])
def test_a_full_conversation_forgets_its_oldest(shared: bool) -> None:
    context = Slow(400, 6)
    scheduler = made(context, each=40, shift=True)
    client = Client([1, 2, 3, 4, 5, 6, 7, 8], 200)
    ask = client.ask()
    ask.keep, ask.ends = 4, frozenset()
    scheduler.submit(ask)
    if shared:  # what others have a part of is not moved under their feet
        other = Client([1, 2, 3, 4, 5, 6, 7, 8], 30)
        scheduler.submit(other.ask())
    run(scheduler)
    assert len(client.tokens) == 200
    assert client.heard[-1].finish == LENGTH
    tokens, gone = list(client.prompt), 0
    for said in client.tokens:
        if len(tokens) >= 40:
            gone = (len(tokens) - 4) // 2
            tokens = tokens[:4] + tokens[4 + gone :]
        assert said == following(tokens, (1.0,))
        tokens.append(said)
    assert gone
    scheduler.close()
    assert context.cells == 0


def test_a_step_for_nobody_is_given_up() -> None:
    context = Slow(400, 4)
    scheduler = made(context)
    first, second = Client([1] * 10, 5), Client([2] * 10, 5)
    for client in (first, second):
        scheduler.submit(client.ask())
    scheduler.step()
    scheduler.working = list(scheduler.running)
    scheduler.cancel(first.asked)
    assert not context.stopping
    scheduler.cancel(second.asked)
    assert context.stopping
    run(scheduler)
    assert context.held[0] or scheduler.cache.resting
