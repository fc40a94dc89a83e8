"""Answers in OpenAI's shape, as llama.cpp's server writes them: chunks of a stream, and whole ones.

Does not know: connections, how the text came.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from penjing.engines.llamacpp.scheduler.asked import Ask, Likely
from penjing.engines.llamacpp.scheduler.speech import Piece
from penjing.engines.llamacpp.scheduler.tools import Call
from penjing.native.model import Model

DONE = b"data: [DONE]\n\n"
Fields = dict[str, Any]


@dataclass
class Reply:
    """One answer of `model` to `ask`; `chat`: in messages, else bare text. `index`: which of several that were asked
    for at once, under one `id`."""

    model: Model
    name: str
    ask: Ask
    chat: bool
    index: int = 0
    id: str = ""
    calls: int = 0
    begun: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self.id = self.id or "chatcmpl-" + secrets.token_urlsafe(18)

    def first(self) -> bytes:
        """What a stream of messages begins with."""
        return event(
            self._chunk({"index": self.index, "finish_reason": None, "delta": {"role": "assistant", "content": None}})
        )

    def chunk(self, piece: Piece) -> bytes:
        """`piece` as an event; nothing where a message says nothing. Bare text has one for each token, as llama.cpp."""
        said: Fields = {"index": self.index, "finish_reason": piece.finish or None}
        if self.chat:
            said["delta"] = {
                name: text
                for name, text in (("reasoning_content", piece.reasoning), ("content", piece.content))
                if text
            }
            if piece.calls:
                said["delta"]["tool_calls"] = [self._called(call) for call in piece.calls]
        else:
            said["text"] = piece.content
        if piece.said.likely:
            said["logprobs"] = {"content": [self._probability(piece.said.likely)]}
        if self.chat and not (piece.finish or piece.content or piece.reasoning or piece.calls or piece.said.likely):
            return b""
        return event(self._chunk(said))

    def usage(self, others: Sequence[Reply] = ()) -> bytes:
        """The last event of a stream that is to be counted, with `others` beside it."""
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        return event({"choices": [], **self._head(kind), "usage": self.counts(others)})

    def choice(self, pieces: Sequence[Piece]) -> Fields:
        """The answer as one of an object's choices."""
        text = "".join(piece.content for piece in pieces)
        thoughts = "".join(piece.reasoning for piece in pieces)
        likely = [self._probability(piece.said.likely) for piece in pieces if piece.said.likely]
        choice: Fields = {"index": self.index, "finish_reason": pieces[-1].finish}
        if self.chat:
            choice["message"] = {"role": "assistant", "content": text}
            if thoughts:
                choice["message"]["reasoning_content"] = thoughts
            if calls := [self._called(call) for piece in pieces for call in piece.calls]:
                choice["message"]["tool_calls"] = [
                    {name: value for name, value in call.items() if name != "index"} for call in calls
                ]
        else:
            choice["text"] = text
        if likely:
            choice["logprobs"] = {"content": likely}
        return choice

    def whole(self, choices: Sequence[Fields], others: Sequence[Reply] = ()) -> Fields:
        """All answers as one object, counted with `others` beside it."""
        kind = "chat.completion" if self.chat else "text_completion"
        return {"choices": list(choices), **self._head(kind), "usage": self.counts(others)}

    def _chunk(self, choice: Fields) -> Fields:
        return {"choices": [choice], **self._head("chat.completion.chunk" if self.chat else "text_completion")}

    def _head(self, kind: str) -> Fields:
        return {"created": self.begun, "id": self.id, "model": self.name, "object": kind}

    def counts(self, others: Sequence[Reply] = ()) -> Fields:
        """Tokens of the answers, and of each prompt once."""
        asks = [each.ask for each in (self, *others)]
        said = sum(len(ask.said) for ask in asks)
        prompts = list({id(ask.prompt): ask for ask in asks}.values())
        prompt = sum(len(ask.prompt) for ask in prompts)
        return {
            "completion_tokens": said,
            "prompt_tokens": prompt,
            "total_tokens": prompt + said,
            "prompt_tokens_details": {"cached_tokens": sum(ask.cached for ask in prompts)},
        }

    def _called(self, call: Call) -> Fields:
        self.calls += 1
        function = {"name": call.name, "arguments": call.arguments}
        return {"index": self.calls - 1, "id": call.id, "type": "function", "function": function}

    def _probability(self, likely: Sequence[Likely]) -> Fields:
        own, *others = (self._shown(one) for one in likely)
        return own | {"top_logprobs": others}

    def _shown(self, one: Likely) -> Fields:
        raw = self.model.piece(one.token, special=True)
        text = raw.decode(errors="replace")
        return {"id": one.token, "token": text, "bytes": list(raw), "logprob": one.logprob}


def event(fields: Fields) -> bytes:
    """One event of a stream."""
    return b"data: " + json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
