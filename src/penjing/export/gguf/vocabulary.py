"""A tokenizer in GGUF's terms, whatever file it came from, and the checks llama.cpp would end the program over.

Does not know: tokenizer files.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from penjing.export.gguf.faults import TokenizerDamaged
from penjing.shrink.container import Value

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6  # llama.h, llama_token_type
SPACE = "\u2581"  # SentencePiece's visible space
UNSCORED = -1000.0
# Marked ordinary by some checkpoints although they steer the conversation (deepseek-coder, gemma 2).
STEERING = {"<pad>", "<mask>", "<2mass>", "[@BOS@]"}


@dataclass(frozen=True)
class Added:
    """A token outside the trained vocabulary, matched before text is split."""

    id: int
    content: str
    special: bool


@dataclass(frozen=True)
class Vocabulary:
    """`tokens[id]` is the text of a token, `types[id]` its kind. A SentencePiece model has `scores` (higher merges
    first), a byte-level BPE has `merges` in order and the pre-tokenizer's name `pre`. `settings` are single values
    under `tokenizer.ggml.`"""

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    scores: list[float] = field(default_factory=list)
    merges: list[str] = field(default_factory=list)
    settings: dict[str, Value] = field(default_factory=dict)

    @property
    def ids(self) -> dict[str, int]:
        """Text to id."""
        return {token: number for number, token in enumerate(self.tokens)}

    def keys(self) -> dict[str, Value]:
        """The metadata entries."""
        found: dict[str, Value] = {
            "tokenizer.ggml.model": self.model,
            "tokenizer.ggml.pre": self.pre,
            "tokenizer.ggml.tokens": self.tokens,
            "tokenizer.ggml.token_type": self.types,
        }
        if self.scores:
            found["tokenizer.ggml.scores"] = self.scores
        if self.merges:
            found["tokenizer.ggml.merges"] = self.merges
        return found | {f"tokenizer.ggml.{key}": value for key, value in self.settings.items()}


def steers(content: str) -> bool:
    """Whether a token's text says that it is a mark and not text, although nothing marks it special."""
    if content in STEERING or (content.startswith("<unused") and content.endswith(">")):
        return True
    return content.startswith(("<|", "<｜")) and content.endswith(("|>", "｜>"))


def add(vocabulary: Vocabulary, added: list[Added]) -> Vocabulary:
    """The vocabulary with its added tokens, longer where their ids lie beyond its end."""
    tokens, types, scores = list(vocabulary.tokens), list(vocabulary.types), list(vocabulary.scores)
    for entry in sorted(added, key=lambda entry: entry.id):
        fill(tokens, types, scores, entry.id + 1, scored=bool(vocabulary.scores))
        special = entry.special or steers(entry.content)
        # llama.cpp matches these before normalization, so a user's token holds the space itself
        tokens[entry.id] = entry.content if special else entry.content.replace(SPACE, " ")
        types[entry.id] = CONTROL if special else USER_DEFINED
        if scores:
            scores[entry.id] = UNSCORED
    return replace(vocabulary, tokens=tokens, types=types, scores=scores)


def pad(vocabulary: Vocabulary, size: int) -> Vocabulary:
    """The vocabulary as long as the embedding has rows (`size`), with unused tokens at its end."""
    tokens, types, scores = list(vocabulary.tokens), list(vocabulary.types), list(vocabulary.scores)
    fill(tokens, types, scores, size, scored=bool(scores))
    return replace(vocabulary, tokens=tokens, types=types, scores=scores)


def fill(tokens: list[str], types: list[int], scores: list[float], size: int, *, scored: bool) -> None:
    """Lengthen the three lists in place to `size` with tokens that are never produced."""
    for number in range(len(tokens), size):
        tokens.append(f"[PAD{number}]")
        types.append(UNUSED)
        if scored:
            scores.append(UNSCORED)


def check(vocabulary: Vocabulary, size: int, path: Path) -> None:
    """Raises TokenizerDamaged where a token has no row in the embedding or two tokens have one text: llama.cpp asserts
    on both."""
    count = len(vocabulary.tokens)
    if count > size:
        raise TokenizerDamaged(path=str(path), word="there are more tokens than embeddings", value=f"{count} > {size}")
    seen: dict[str, int] = {}
    for number, token in enumerate(vocabulary.tokens):
        if token in seen:
            raise TokenizerDamaged(
                path=str(path), word="two tokens have one text", value=f"{seen[token]}, {number}: {token!r}"
            )
        seen[token] = number
