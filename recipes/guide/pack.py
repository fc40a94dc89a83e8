"""Turn conversations into rows of token ids with the loss on what the assistant says.

Rendering follows `chat_template.jinja` exactly (a test compares them). Several short conversations share a row, each
with its own positions and seeing only itself. A part of them is first joined into one longer dialogue, because people
ask one thing after another, and a part of the rows is as long as the whole context; there too stand the conversations
that no ordinary row holds, such as those that begin with long descriptions of functions.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from recipes.guide.tokenizer import END_OF_TEXT, END_OF_THINK, END_OF_TURN, THINK, TURN

Ids = list[int]


@dataclass(frozen=True)
class Message:
    """One message as token ids: the text, and for an answer the reasoning before it (empty when there is none)."""

    role: str
    text: Ids
    reasoning: Ids = field(default_factory=list)
    figures: bool = False  # whether there are digits in the text


@dataclass(frozen=True)
class Conversation:
    messages: tuple[Message, ...]
    opens: bool = False  # its system message matters (it offers functions), so it may only begin a dialogue

    def without_system(self) -> Conversation:
        """The same without its system message, so that it may follow another conversation in one dialogue."""
        return replace(self, messages=tuple(m for m in self.messages if m.role != "system"))


@dataclass(frozen=True)
class Document:
    """One rendered dialogue: ids and, for each, whether it is a training target."""

    ids: Ids
    target: list[bool]


@dataclass(frozen=True)
class Batch:
    """tokens, positions and document numbers [rows, time]; labels [rows, time], -100 where there is no loss."""

    tokens: NDArray[np.int64]
    positions: NDArray[np.int64]
    documents: NDArray[np.int64]
    labels: NDArray[np.int64]


class Writer:
    """Renders conversations to documents with one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        marks = (END_OF_TEXT, TURN, END_OF_TURN, THINK, END_OF_THINK)
        self.pad, self.turn, self.end, self.think, self.unthink = (int(tokenizer.token_to_id(m) or 0) for m in marks)
        self.newline, self.gap, self.assistant = (self._encode(t) for t in ("\n", "\n\n", "assistant\n"))

    def _encode(self, text: str) -> Ids:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def conversation(self, record: dict[str, Any]) -> Conversation:
        """Tokenize one corpus record."""
        messages = []
        for m in record["messages"]:
            lead = "" if m["role"] == "assistant" else m["role"] + "\n"
            reasoning = m.get("reasoning") or ""
            thought = self._encode("\n" + reasoning.strip("\n")) if reasoning else []
            figures = any(c.isdigit() for c in m["content"])
            messages.append(Message(m["role"], self._encode(lead + m["content"]), thought, figures))
        return Conversation(tuple(messages), "<tools>" in record["messages"][0]["content"])

    def document(self, conversation: Conversation, *, thinking: bool) -> Document:
        """Render. The last answer carries its reasoning when `thinking`, else the empty block; earlier ones neither."""
        out = Document([], [])
        last = len(conversation.messages) - 1
        for i, message in enumerate(conversation.messages):
            self._add(out, [self.turn], False)
            if message.role == "assistant":
                self._answer(out, message, final=i == last, thinking=thinking)
            else:
                self._add(out, message.text, False)
            self._add(out, [self.end], message.role == "assistant")
            self._add(out, self.newline, False)
        return out

    def size(self, conversation: Conversation) -> int:
        """How many tokens it adds to a dialogue, but for the thinking block that stands once at the end."""
        roles = sum(3 + len(self.assistant) * (m.role == "assistant") for m in conversation.messages)
        return roles + sum(len(m.text) for m in conversation.messages)

    def thought(self, conversation: Conversation) -> int:
        """At most how many tokens the thinking block has."""
        return 2 + len(self.gap) + max(len(self.gap), len(conversation.messages[-1].reasoning))

    def _answer(self, out: Document, message: Message, *, final: bool, thinking: bool) -> None:
        self._add(out, self.assistant, False)
        if final:
            thought = message.reasoning if thinking and message.reasoning else self.gap
            self._add(out, [self.think, *thought, self.unthink], thinking)
            self._add(out, self.gap, thinking)
            self._add(out, message.text, True)
        else:
            # The first word of an earlier answer is no target: straight after the role, only <think> may be learned.
            self._add(out, message.text[:1], False)
            self._add(out, message.text[1:], True)

    @staticmethod
    def _add(out: Document, ids: Iterable[int], target: bool) -> None:
        before = len(out.ids)
        out.ids.extend(ids)
        out.target.extend([target] * (len(out.ids) - before))


def load(corpus: Path, writer: Writer) -> list[Conversation]:
    """Tokenize a corpus file."""
    with corpus.open(encoding="utf-8") as lines:
        return [writer.conversation(json.loads(line)) for line in lines if line.strip()]


@dataclass(frozen=True)
class Mix:
    """How conversations become rows."""

    short: int = 256  # tokens in an ordinary row
    long: int = 1024  # tokens in a row that holds one long dialogue
    long_share: float = 0.12  # of all conversations
    joined_share: float = 0.35  # of the dialogues in ordinary rows
    cut_share: float = 0.3  # of the conversations with several answers: ended early, any turn may be the last
    thinking_share: float = 0.5  # of the dialogues that end with reasoning
    blurred_share: float = 0.25  # of the conversations lose some words of their questions: none may be needed
    blur: float = 0.1  # of the words of such a question, if it is long and has no figure in it
    tokens: int = 8192  # a batch


def batches(conversations: list[Conversation], writer: Writer, mix: Mix, seed: int) -> Iterator[Batch]:
    """One epoch in random order, ordinary and long rows interleaved."""
    chance = random.Random(seed)
    wide = [each for each in conversations if writer.size(each) + writer.thought(each) > mix.short]
    order = [each for each in conversations if writer.size(each) + writer.thought(each) <= mix.short]
    chance.shuffle(wide)
    chance.shuffle(order)
    split = int(len(order) * mix.long_share)
    long = [[d] for d in _dialogues(order[:split], writer, mix, chance, room=mix.long, join=1.0)]
    long += _rows(_dialogues(wide, writer, mix, chance, room=mix.long, join=0.0), mix.long)
    short = _rows(_dialogues(order[split:], writer, mix, chance, room=mix.short, join=mix.joined_share), mix.short)
    plans = []
    for rows, width in ((long, mix.long), (short, mix.short)):
        count = mix.tokens // width
        chance.shuffle(rows)
        plans += [(rows[i : i + count], width) for i in range(0, len(rows) - count + 1, count)]
    chance.shuffle(plans)
    for rows, width in plans:
        yield collate(rows, width, writer.pad)


def _dialogues(
    order: list[Conversation], writer: Writer, mix: Mix, chance: random.Random, *, room: int, join: float
) -> Iterator[Document]:
    """Documents of at most `room` tokens; with probability `join` a document goes on with the next conversation."""
    current: Conversation | None = None
    size = 0
    for conversation in order:
        piece = _blur(_cut(conversation, mix, chance), mix, chance)
        length = writer.size(piece)
        fits = size + length + writer.thought(piece) <= room and not piece.opens
        if current is not None and fits and chance.random() < join:
            current = replace(current, messages=current.messages + piece.without_system().messages)
            size += length
            continue
        if current is not None:
            yield from _document(current, writer, mix, chance, room)
        current, size = piece, length
    if current is not None:
        yield from _document(current, writer, mix, chance, room)


def _document(
    conversation: Conversation, writer: Writer, mix: Mix, chance: random.Random, room: int
) -> Iterator[Document]:
    reasons = bool(conversation.messages[-1].reasoning)
    document = writer.document(conversation, thinking=reasons and chance.random() < mix.thinking_share)
    if len(document.ids) <= room:
        yield document


def _blur(conversation: Conversation, mix: Mix, chance: random.Random) -> Conversation:
    """Questions with words left out, as a reader sees them who does not know every word."""
    if conversation.opens or chance.random() >= mix.blurred_share:
        return conversation
    messages = []
    for message in conversation.messages:
        if message.role == "user" and not message.figures and len(message.text) >= 8:
            role, words = message.text[:2], message.text[2:]
            message = replace(message, text=role + [w for w in words if chance.random() >= mix.blur])
        messages.append(message)
    return replace(conversation, messages=tuple(messages))


def _cut(conversation: Conversation, mix: Mix, chance: random.Random) -> Conversation:
    ends = [i + 1 for i, m in enumerate(conversation.messages) if m.role == "assistant"]
    if len(ends) > 1 and chance.random() < mix.cut_share:
        return replace(conversation, messages=conversation.messages[: chance.choice(ends[:-1])])
    return conversation


def _rows(documents: Iterable[Document], width: int, window: int = 64) -> list[list[Document]]:
    """First fit into `window` open rows; the fullest closes when none has room."""
    done: list[list[Document]] = []
    open_rows: list[tuple[int, list[Document]]] = []
    for document in documents:
        length = len(document.ids)
        for i, (used, row) in enumerate(open_rows):
            if used + length <= width:
                row.append(document)
                open_rows[i] = (used + length, row)
                break
        else:
            if len(open_rows) == window:
                fullest = max(range(window), key=lambda i: open_rows[i][0])
                done.append(open_rows.pop(fullest)[1])
            open_rows.append((length, [document]))
    return done + [row for _, row in open_rows]


def collate(rows: list[list[Document]], width: int, pad: int) -> Batch:
    """Rows of documents as padded arrays; the label of a position is the next token where that one is a target."""
    shape = (len(rows), width)
    tokens, labels = np.full(shape, pad), np.full(shape, -100)
    positions, documents = np.zeros(shape, np.int64), np.full(shape, -1)
    for r, row in enumerate(rows):
        at = 0
        for number, document in enumerate(row):
            n = len(document.ids)
            tokens[r, at : at + n] = document.ids
            positions[r, at : at + n] = np.arange(n)
            documents[r, at : at + n] = number
            following = np.where(document.target[1:], document.ids[1:], -100)
            labels[r, at : at + n - 1] = following
            at += n
    return Batch(tokens, positions, documents, labels)
