"""The sides of bench/engine.py: penjing's engines and their peers, each asked in its own words.

Does not know: what is measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.engines.openvino.engine import OpenVino
from penjing.native.model import Model
from penjing.operate.measure.sample import Sample, every_token
from penjing.operate.measure.wire import Connection, events, request
from servers import LlamaServer, PythonServer

PATIENCE = 300.0
TEXT = "The quick brown fox jumps over the lazy dog while it rains in the old town by the river. " * 3
"""What an answer repeats."""
Make = Callable[[int], Any]
"""An engine with so many tokens of context for each chat."""


@dataclasses.dataclass
class Side:
    """One scheduler with the model, asked with random tokens below `words`."""

    name: str
    make: Make
    words: int
    only: tuple[str, ...] = ()
    """The rows it is asked for, where not all."""
    without: tuple[str, ...] = ()
    """Rows of what it cannot do."""
    repeated: tuple[int, ...] = ()
    """The tokens of TEXT."""
    ends: tuple[int, ...] | None = None
    """Tokens that are barred by their bias, where a server knows no `ignore_eos` and counts nothing."""
    engine: Any = None
    dice: random.Random = dataclasses.field(default_factory=random.Random)
    text: str = ""
    """Of the last answer."""

    def does(self, row: str) -> bool:
        """Whether it is asked for `row`."""
        return row not in self.without and (not self.only or row in self.only)

    def tokens(self, count: int) -> list[int]:
        """A random prompt."""
        return [self.dice.randrange(300, self.words) for _ in range(count)]

    async def ask(self, prompt: list[int], said: int, **more: object) -> Sample:
        """The answer to `prompt`, of `said` tokens; `more` fields."""
        line = Connection(self.engine.address)
        heard = await line.ask(
            request(self.engine.address, "/v1/completions", self._body(prompt, said, more)), PATIENCE
        )
        line.close()
        found = every_token(heard)
        if found.error or not found.moments:
            raise SystemExit(f"{self.name}: {found.error or 'an answer without a token'}")
        choices = (choice for _, event in events(heard) for choice in event.get("choices") or ())
        self.text = "".join(choice.get("text") or "" for choice in choices)
        if self.ends is None:
            return found
        moments = found.moments[:said]  # without the event of the end
        return dataclasses.replace(found, moments=moments, prompt_tokens=len(prompt), completion_tokens=said)

    def _body(self, prompt: list[int], said: int, more: Mapping[str, object]) -> dict[str, object]:
        told = {"prompt": prompt, "max_tokens": said, "temperature": 1, "seed": self.dice.randrange(1 << 30)}
        if self.ends is None:
            never: dict[str, object] = {"ignore_eos": True, "stream_options": {"include_usage": True}}
        else:
            never = {"logit_bias": {str(token): -1000 for token in self.ends}, "top_p": 1}
        return {**told, "stream": True, **never, **more}


def sides(path: Path, chats: int, context: int, given: argparse.Namespace) -> list[Side]:
    """Who is asked: the peer first, then penjing. Engines hold `chats` of `context` tokens each."""
    usual = EngineOptions(parallel=chats, threads=os.cpu_count())

    def ours(kind: type[LlamaCpp], **own: Any) -> Make:
        options = dataclasses.replace(usual, **own)
        return lambda context: kind(path, "bench", dataclasses.replace(options, max_context=context))

    with Model(path, vocabulary_only=True) as model:
        repeated, ends = tuple(model.tokenize(TEXT, begin=False)), tuple(sorted(model.ends))
        side = partial(Side, words=model.vocabulary_size, repeated=repeated)
    found: list[Side] = []
    if given.server:
        peer = partial(LlamaServer, given.server, path, chats=chats)
        found.append(side("llama-server", peer))
        found.append(side("penjing", ours(LlamaCpp, scheduler="penjing", library="native")))
        # The best fixed setting beside a busy core, where there are two.
        found.append(side("llama-server, 1 thread", partial(peer, threads=1), only=("busy",)))
    else:
        found.append(side("llama.cpp's server", ours(LlamaCpp, scheduler="llama.cpp")))
        found.append(side("penjing", ours(LlamaCpp, scheduler="penjing", library="prebuilt")))
    if given.python:
        python, server = given.python
        other = partial(PythonServer, python, server, path, chats=chats)
        found.append(side("llama-cpp-python", other, ends=ends, without=("repeat",)))  # completions take no grammar
    if given.openvino:  # without GBNF, and without conversations on disk
        engine = ours(OpenVino, engine="openvino")
        found.append(side("penjing, OpenVINO", engine, without=("repeat", "restart")))
    found = [each for each in found if any(map(each.does, given.rows))]
    for each in found:
        each.engine = each.make(context)
    return found
