"""The scheduler with the guide: whatever is computed together, each says what it says alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import llama_engine
from penjing.engines.llamacpp.scheduler.asked import Ask, Said
from penjing.engines.llamacpp.scheduler.scheduler import Scheduler
from penjing.engines.llamacpp.scheduler.shelf import Shelf
from penjing.native.context import Context
from penjing.native.model import Model
from penjing.native.sampler import Sampling
from penjing.store.resolve import guide

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
