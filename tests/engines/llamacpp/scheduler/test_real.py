"""The scheduler with the guide: whatever is computed together, each says what it says alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import llama_engine
from penjing.engines.llamacpp.scheduler.asked import Ask, Said, Voice
from penjing.engines.llamacpp.scheduler.cache import AWAITED, Cache
from penjing.engines.llamacpp.scheduler.drafting import Drafter, DraftOfAnother, require_same_words
from penjing.engines.llamacpp.scheduler.scheduler import Scheduler
from penjing.engines.llamacpp.scheduler.shelf import WAITING, Shelf
from penjing.native.context import Context
from penjing.native.model import Model
from penjing.native.sampler import Sampling
from penjing.store.resolve import guide
from tiny_model import Shape, write_tiny_gguf

QUESTIONS = ("What is a KV cache?", "什么是剪枝？", "Hello", "Which models fit 8 GB?", "How do I serve a model?")
GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with Model(guide()) as found:
        yield found


def prompt(model: Model, question: str) -> list[int]:
    frame = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    return model.tokenize(frame, special=True)


def answers(scheduler: Scheduler, *prompts: list[int], likely: int | None = None) -> list[list[Said]]:
    heard: list[list[Said]] = [[] for _ in prompts]
    for tokens, said in zip(prompts, heard, strict=True):
        scheduler.submit(
            Ask(tokens, 40, lambda one, said=said: not said.append(one), GREEDY, scheduler.context.model.ends, likely)
        )
    while scheduler.step():
        pass
    assert scheduler.idle
    return heard


def tokens(heard: list[Said]) -> list[int]:
    return [said.token for said in heard]


def test_together_as_alone_as_the_server(model: Model) -> None:
    prompts = [prompt(model, question) for question in QUESTIONS]
    with Context(model, 1024, 12, threads=1) as context, llama_engine.running(guide(), 4096, 256) as engine:
        alone = [tokens(answers(Scheduler(context, 1), one)[0]) for one in prompts if context.memory.clear() is None]
        context.memory.clear()
        together = [tokens(each) for each in answers(Scheduler(context, 5, threads=1), *prompts)]
        assert together == alone
        for one, said in zip(prompts, alone, strict=True):
            body = {"prompt": one, "max_tokens": 40, "temperature": 0, "return_tokens": True}
            theirs = engine.server.handle_completions(body)
            text = (
                theirs["choices"][0]["text"]
                if isinstance(theirs, dict)
                else llama_engine.json.loads(theirs)["choices"][0]["text"]
            )
            assert text == model.detokenize(said)


def test_a_conversation_comes_back_from_disk(model: Model, tmp_path: Path) -> None:
    question = prompt(model, "What is a KV cache? " * 12)
    with Context(model, 512, 4, threads=1) as context:
        first = Scheduler(context, 2, shelf=Shelf(tmp_path, lambda: "guide", 1 << 30).wait())
        said = tokens(answers(first, question)[0])
        first.close()
    again = Shelf(tmp_path, lambda: "guide", 1 << 30).wait()
    with Context(model, 512, 4, threads=1) as context:
        second = Scheduler(context, 2, shelf=again)
        heard: list[Said] = []
        ask = Ask(question, 40, lambda one: not heard.append(one), GREEDY, model.ends)
        second.submit(ask)
        while second.step():
            pass
        assert ask.cached == len(question) - 1
        assert tokens(heard) == said


def test_who_comes_back_at_once_waits_for_the_shelf(model: Model, tmp_path: Path) -> None:
    question = prompt(model, "What is a KV cache? " * 100)
    assert len(question) > AWAITED

    def key() -> str:
        time.sleep(0.2)  # as the digest of a model takes
        return "guide"

    for cached in (0, len(question) - 1):
        with Context(model, 2048, 4, threads=1) as context:
            scheduler = Scheduler(context, 2, shelf=Shelf(tmp_path, key, 1 << 30))
            ask = Ask(question, 4, lambda _: True, GREEDY, model.ends)
            scheduler.submit(ask)
            while scheduler.step():
                pass
            scheduler.close()
        assert ask.cached == cached


def test_closing_keeps_more_than_waits_to_be_written(model: Model, tmp_path: Path) -> None:
    questions = [prompt(model, f"{number} cats " * 30) for number in range(2 * WAITING + 2)]
    with Context(model, 4096, 16, threads=1) as context:
        shelf = Shelf(tmp_path, lambda: "guide", 1 << 30).wait()
        first = Scheduler(context, 2, 400, shelf=shelf)
        first.cache = Cache(context, shelf)  # all of it for conversations that are over
        answers(first, *questions)
        assert len(first.cache.resting) == len(questions)
        first.close()
    again = Shelf(tmp_path, lambda: "guide", 1 << 30).wait()
    assert [again.has(question, str(Voice())) for question in questions] == [True] * len(questions)


def test_a_state_of_another_kind_is_computed_again(model: Model, tmp_path: Path) -> None:
    question = prompt(model, "What is a KV cache? " * 12)
    with Context(model, 512, 4, threads=1) as half, Context(model, 512, 4, threads=1, kv_type="f32") as whole:
        first = Scheduler(half, 2, shelf=Shelf(tmp_path, lambda: "same by mistake", 1 << 30).wait())
        answers(first, question)
        first.close()
        second = Scheduler(whole, 2, shelf=Shelf(tmp_path, lambda: "same by mistake", 1 << 30).wait())
        assert tokens(answers(second, question)[0])
        assert second.running == []


def test_probabilities(model: Model) -> None:
    with Context(model, 256, 4, threads=1) as context:
        heard = answers(Scheduler(context, 1), prompt(model, "Hello"), likely=3)[0]
    for said in heard:
        assert said.likely[0].token == said.token == said.likely[1].token
        assert len(said.likely) == 4
        assert all(one.logprob <= said.likely[0].logprob <= 0 for one in said.likely)


def test_a_draft_changes_nothing(model: Model) -> None:
    """The model guesses for itself: nearly everything is right, and the text is what it is alone."""
    prompts = [prompt(model, question) for question in QUESTIONS[:3]]
    with Context(model, 1024, 8, threads=1) as context, Context(model, 1024, 3, threads=1) as own:
        alone = [tokens(each) for each in answers(Scheduler(context, 3), *prompts)]
        context.memory.clear()
        drafter = Drafter(own, model.vocabulary_size)
        guessing = Scheduler(context, 3, guesser=drafter)
        heard: list[list[Said]] = [[] for _ in prompts]
        for one, said in zip(prompts, heard, strict=True):
            guessing.submit(Ask(one, 40, lambda one, said=said: not said.append(one), GREEDY, model.ends))
        steps = 0
        while guessing.step():
            steps += 1
        assert [tokens(each) for each in heard] == alone
        assert steps < max(map(len, alone))
        assert [own.memory.last(sequence) for sequence in range(3)] == [-1] * 3


def test_a_draft_of_other_words_is_refused(model: Model, tmp_path: Path) -> None:
    with Model(write_tiny_gguf(tmp_path / "tiny.gguf")) as other, pytest.raises(DraftOfAnother, match="token"):
        require_same_words(model, other)
    require_same_words(model, model)


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_a_full_conversation_goes_on(model: Model, kv_type: str) -> None:
    with Context(model, 512, 4, threads=1, kv_type=kv_type) as context:
        scheduler = Scheduler(context, 2, 96, shift=True)
        heard: list[Said] = []
        ask = Ask(prompt(model, "Hello"), 200, lambda one: not heard.append(one), Sampling(seed=1), keep=8)
        scheduler.submit(ask)
        longest = 0
        while scheduler.step():
            longest = max(longest, context.memory.last(0), *(context.memory.last(other) for other in range(4)))
        assert len(heard) == 200
        assert longest < 96
        assert scheduler.cache.tree.cells == 0  # what was moved is nobody's beginning


def test_a_long_step_for_nobody_is_given_up(tmp_path: Path) -> None:
    shape = Shape(layers=8, width=512, heads=8, kv_heads=4, feed_forward=1536, context=4096)
    with Model(write_tiny_gguf(tmp_path / "slow.gguf", shape)) as slow, Context(slow, 4096, 4, threads=1) as context:
        scheduler = Scheduler(context, 2)
        heard: list[Said] = []
        ask = Ask([70] * 512, 5, lambda one: not heard.append(one), GREEDY)
        scheduler.submit(ask)
        watch = threading.Thread(target=lambda: cancelled(scheduler, ask))
        watch.start()
        while scheduler.step():
            pass
        watch.join()
        assert not heard
        assert scheduler.idle
        assert scheduler.cache.tree.cells == 0
        again: list[Said] = []
        scheduler.submit(Ask([70] * 20, 3, lambda one: not again.append(one), GREEDY))
        while scheduler.step():
            pass
        assert len(again) == 3


def cancelled(scheduler: Scheduler, ask: Ask) -> None:
    """Cancel `ask` while a step is computed for it."""
    while not scheduler.working:
        time.sleep(0.001)
    time.sleep(0.01)
    scheduler.cancel(ask)
