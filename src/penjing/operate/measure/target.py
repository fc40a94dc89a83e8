"""What is measured: an address, the model there, and what its server understands of a question.

Servers differ in what they refuse: a cloud knows no `ignore_eos`, some want `max_completion_tokens`. A first short
question finds out, and what had to be left out is told in `notes`.

Does not know: processes, how many questions are asked.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from penjing.engines.engine import Address, Engine
from penjing.errors import EngineError
from penjing.operate.measure.sample import Sample, sample
from penjing.operate.measure.wire import Connection, Heard, request

CHAT = "/v1/chat/completions"
OPTIONAL = ("ignore_eos", "temperature", "stream_options", "max_tokens")
"""Fields that a server may refuse by name; the last one has another name there."""
PATIENCE = 600.0
"""Seconds an answer may take in all."""
TOKENIZE = ("/tokenize", "/v1/tokenize")
MEANT = {
    "ignore_eos": "answers end where the model ends them, not at the length asked for",
    "temperature": "sampled at the server's own temperature",
    "stream_options": "token counts are those of the events, since the server tells none",
}


class NotMeasurable(EngineError):
    """Facts: `url`, `detail`."""

    template = "{url} cannot be measured: {detail}"
    hint = "Is it a server that speaks OpenAI's dialect, and does it offer the model? Try: curl {url}/v1/models"
    code = "not_measurable"


@dataclass
class Target:
    """`name` as people know it, `model` as its server does; `context` in tokens, 0 where unknown. `left_out` are the
    fields its server refused, `counts` whether it counts tokens for us."""

    name: str
    address: Address
    model: str
    context: int = 0
    left_out: set[str] = field(default_factory=set)
    counts: str = ""
    overhead: int = 0
    """Tokens that the chat template adds to a prompt."""

    @classmethod
    def of(cls, engine: Engine) -> Target:
        """A started engine."""
        able = engine.capabilities
        return cls(engine.name, engine.address, able.model, able.context)

    @property
    def shown(self) -> str:
        """What it is called in errors."""
        return self.address.url if not self.address.socket else self.name

    @property
    def notes(self) -> list[str]:
        """What has to be known about its figures, as templates."""
        return [MEANT[name] for name in MEANT if name in self.left_out]

    def question(self, prompt: str, tokens: int) -> bytes:
        """The bytes of a question whose answer has `tokens` tokens."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        for name in self.left_out:
            value = body.pop(name)
            if name == "max_tokens":
                body["max_completion_tokens"] = value
        return request(self.address, CHAT, body)

    async def meet(self) -> Sample:
        """Ask a first short question, without what the server refuses, and see whether it counts tokens. Raises
        NotMeasurable."""
        first = await self._first()
        for path in TOKENIZE:
            self.counts = path
            counted = await self.count("Hello")
            if counted is not None:
                break
            self.counts = ""
        if self.counts and first.prompt_tokens:
            self.overhead = max(0, first.prompt_tokens - (await self.count("Hello") or 0))
        return first

    async def _first(self) -> Sample:
        for _ in range(len(OPTIONAL) + 1):
            heard = await once(self.address, self.question("Hello", 2))
            found = sample(heard)
            if not found.error:
                return found
            refused = next((name for name in OPTIONAL if name not in self.left_out and name in found.error), "")
            if heard.status not in (400, 422) or not refused:
                raise NotMeasurable(url=self.shown, detail=found.error)
            self.left_out.add(refused)
        raise NotMeasurable(url=self.shown, detail=found.error)

    async def count(self, text: str) -> int | None:
        """How many tokens `text` has, where the server counts them (llama.cpp's and vLLM's `/tokenize`)."""
        import msgspec

        if not self.counts:
            return None
        body = {"content": text, "prompt": text, "model": self.model, "add_special_tokens": False}
        heard = await once(self.address, request(self.address, self.counts, body))
        try:
            answer = msgspec.json.decode(heard.body)
            tokens = answer.get("count", answer.get("tokens"))
            return tokens if isinstance(tokens, int) else len(tokens)
        except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, TypeError):
            return None


async def once(address: Address, question: bytes) -> Heard:
    """The answer on a connection of its own."""
    line = Connection(address)
    try:
        return await line.ask(question, PATIENCE)
    except asyncio.CancelledError:
        line.close()
        raise
    finally:
        line.close()
