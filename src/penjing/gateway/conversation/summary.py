"""Older turns as a short text that the model itself writes, once: as the conversation goes on the same summary is used
again, and a later one is written from it, not from the beginning.

Summaries are kept in memory, apart for each API key, so that nobody's conversation reaches another's.

Does not know: when to sum up, what is left out.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from penjing.errors import ContextOverflow
from penjing.gateway.dialects.openai import events, wire
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.dialects.openai.rewrite import for_engine
from penjing.gateway.house import House

MOST, MOST_BYTES = 4096, 16 << 20
OVERHEAD = 128
"""Tokens left for the instruction and the template around the text to be summed up."""
SHORTEST = 64
"""Characters. A piece of text that does not fit even so short cannot be summed up."""
HEAD = {"en": "Summary of the earlier conversation:", "zh": "此前对话的摘要:"}
INSTRUCTION = {
    "en": "Sum up the conversation below for somebody who must continue it. Keep names, numbers, decisions, open "
    "questions and what the user wants. Write a few short sentences, nothing else.",
    "zh": "请为接着进行对话的人概括下面的对话。保留姓名、数字、结论、未解决的问题以及用户的要求。只写几句简短的话。",
}
CHINESE = ("\u4e00", "\u9fff")
CHINESE_SHARE = 0.2


class Summaries:
    """What has been summed up. A summary is found by everything that it is of."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, str] = OrderedDict()
        self._bytes = 0

    @staticmethod
    def name(key: str, model: str, messages: Sequence[bytes]) -> bytes:
        """What a summary of `messages` is found by."""
        digest = hashlib.sha256()
        for part in (key.encode(), model.encode(), *messages):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()

    def find(self, name: bytes) -> str | None:
        text = self._kept.get(name)
        if text is not None:
            self._kept.move_to_end(name)
        return text

    def keep(self, name: bytes, text: str) -> None:
        """Remember it, and forget those that were not used for longest."""
        self._bytes += len(text.encode()) - len(self._kept.pop(name, "").encode())
        self._kept[name] = text
        while len(self._kept) > MOST or (self._bytes > MOST_BYTES and len(self._kept) > 1):
            self._bytes -= len(self._kept.popitem(last=False)[1].encode())


def transcript(messages: Sequence[wire.ChatMessage]) -> str:
    """What was said, as text to be summed up."""
    return "\n\n".join(f"{message.role}: {_text(message)}" for message in messages)


def _text(message: wire.ChatMessage) -> str:
    content = message.content
    parts = [content] if isinstance(content, str) else [_part(part) for part in content or ()]
    calls = [f"[{call.function.name} {call.function.arguments}]" for call in message.tool_calls or ()]
    return " ".join((*parts, *calls))


def _part(part: wire.Part) -> str:
    if isinstance(part, wire.TextPart):
        return part.text
    return "[an image]" if isinstance(part, wire.ImagePart) else "[an attachment]"


def language(text: str) -> str:
    """`zh` where a good part of it is Chinese, else `en`."""
    chinese = sum(CHINESE[0] <= sign <= CHINESE[1] for sign in text)
    return "zh" if chinese > CHINESE_SHARE * max(len(text), 1) else "en"


def headed(summary: str) -> str:
    """A summary as it stands in the system message."""
    return f"{HEAD[language(summary)]}\n{summary}"


async def write(house: House, model: str, text: str, before: str, tokens: int, *, local_only: bool) -> str:
    """The model's summary of `text`, in at most `tokens` tokens; `before` sums up what went before it. A text that is
    too long for the model is read in pieces. Raises what the engine raises; ContextOverflow where no piece fits."""
    _, engine = house.chosen(model)
    piece = max(engine.capabilities.context - tokens - OVERHEAD, SHORTEST) * 2
    while text:
        try:
            before = await _once(house, model, text[:piece], before, tokens, local_only)
            text = text[piece:]
        except ContextOverflow:  # noqa: PERF203  # each piece is a model's answer, beside which this is nothing
            piece //= 2
            if piece < SHORTEST:
                raise
    return before


async def _once(house: House, model: str, text: str, before: str, tokens: int, local_only: bool) -> str:
    said = f"{headed(before)}\n\n{text}" if before else text
    asked = {
        "messages": [
            {"role": "system", "content": INSTRUCTION[language(text)]},
            {"role": "user", "content": said},
        ],
        "max_tokens": tokens,
        "temperature": 0.0,
        "enable_thinking": False,
    }
    _, engine = house.chosen(model)
    raw = msgspec.json.encode(asked)
    body = for_engine(raw, parse(raw, wire.ChatBody), engine.capabilities)
    answer = events.completion(await house.post(model, "/v1/chat/completions", body, local_only=local_only))
    return answer.choices[0].message.text.strip() if answer.choices else ""
