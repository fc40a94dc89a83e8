"""What rules ask about a request, each found out when first asked.

Tokens are estimated from the length of the text, without a tokenizer: rules compare orders of magnitude.

Does not know: rules, engines.
"""

from __future__ import annotations

from penjing.gateway.ask import Ask
from penjing.gateway.dialects.openai import wire

TASK = b"x-penjing-task"
ASCII_PER_TOKEN = 4
"""Characters of English text in a token, about; every other character counts as a token of its own."""
KINDS = {
    wire.ChatBody: "chat",
    wire.CompletionBody: "completion",
    wire.EmbeddingBody: "embedding",
    wire.RerankBody: "rerank",
}


class Facts:
    """Of one request as it came in; policies that change it later do not change these."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._body = ask.wire
        self.model = ask.model
        self.grant = ask.key
        self.local_only = ask.local_only
        self._kinds: set[type] | None = None
        self._counted: int | None = None

    @property
    def kind(self) -> str:
        """`chat`, `completion` or `embedding`."""
        return KINDS[type(self._body)]

    @property
    def task(self) -> str:
        """What the client says it is for: a header, else `task` in the body's metadata."""
        given = self._ask.header(TASK)
        if given:
            return given
        metadata = getattr(self._body, "metadata", None)
        return str(metadata.get("task", "")) if metadata else ""

    @property
    def tools(self) -> bool:
        """Whether functions may be called."""
        return bool(getattr(self._body, "tools", None)) and getattr(self._body, "tool_choice", None) != "none"

    @property
    def vision(self) -> bool:
        """Whether there are pictures."""
        return wire.ImagePart in self._parts()

    @property
    def audio(self) -> bool:
        """Whether there is sound."""
        return wire.AudioPart in self._parts()

    @property
    def tokens(self) -> int:
        """How many the question has, about. Pictures and sound are not counted."""
        if self._counted is None:
            media = self._parts() - {wire.TextPart, wire.RefusalPart}
            texts = self._texts() if media else [self._ask.body]
            self._counted = sum(_tokens(text) for text in texts)
        return self._counted

    def _parts(self) -> set[type]:
        """What messages that are no plain text are made of."""
        if self._kinds is None:
            self._kinds = set()
            if isinstance(self._body, wire.ChatBody):
                for message in self._body.messages:
                    if isinstance(message.content, list):
                        self._kinds.update(map(type, message.content))
        return self._kinds

    def _texts(self) -> list[bytes]:
        messages = self._body.messages if isinstance(self._body, wire.ChatBody) else ()
        texts = []
        for message in messages:
            if isinstance(message.content, str):
                texts.append(message.content)
            else:
                texts += [part.text for part in message.content or () if isinstance(part, wire.TextPart)]
        return [text.encode() for text in texts]


def _tokens(text: bytes) -> int:
    """Of UTF-8.

    >>> _tokens(b"What is a LoRA adapter?"), _tokens("什么是盆景？".encode())
    (5, 6)
    """
    if text.isascii():
        return len(text) // ASCII_PER_TOKEN
    signs = text.decode("utf-8", "replace")
    narrow = len(signs.encode("ascii", "ignore"))
    return narrow // ASCII_PER_TOKEN + len(signs) - narrow
