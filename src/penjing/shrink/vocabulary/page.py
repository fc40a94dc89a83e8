"""`tokenizer.json` as data that can grow: what all kinds of tokenizers have in common.

Form: github.com/huggingface/tokenizers, `Tokenizer.to_str`.

Does not know: which pieces are worth adding, the rows of a model.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penjing.shrink.vocabulary.letters import Letters

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Piece:
    """A new token: two tokens, older or earlier ones, that stand side by side; or, where `left` is empty, one character
    that was spelled in bytes before. In the tokenizer's own spelling."""

    left: str
    right: str

    @property
    def token(self) -> str:
        return self.left + self.right


class Page(ABC):
    """A parsed tokenizer.json. `ids`: every token, the added ones too. `free`: the first id that no token has."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = content
        self.added = {str(each["content"]): int(each["id"]) for each in content.get("added_tokens") or []}
        self.trained = self._trained()
        self.ids = {**self.trained, **self.added}
        self.free = max(self.ids.values(), default=-1) + 1
        self._tokenizer: Tokenizer | None = None

    @property
    def tokenizer(self) -> Tokenizer:
        """The library's tokenizer."""
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            self._tokenizer = Tokenizer.from_str(json.dumps(self.content))
        return self._tokenizer

    def tokens(self, word: str) -> list[str]:
        """What becomes of a word that normalizer and pre-tokenizer have left whole, in the tokenizer's spelling."""
        return [token.value for token in self.tokenizer.model.tokenize(self.spell(word))]

    def words(self, text: str) -> list[str]:
        """Normalized text in the parts that are encoded each alone, in plain letters."""
        if self.tokenizer.pre_tokenizer is None:
            return [text]
        return [text[first:last] for _, (first, last) in self.tokenizer.pre_tokenizer.pre_tokenize_str(text)]

    def normalized(self, text: str) -> str:
        """Text as the tokenizer sees it; the marks that stand for spaces may be put in."""
        normalizer = self.tokenizer.normalizer
        return text if normalizer is None else str(normalizer.normalize_str(text))

    def numbered(self, pieces: Sequence[Piece]) -> dict[str, int]:
        """The ids of new tokens, in the order of the pieces that make them."""
        new = dict.fromkeys(piece.token for piece in pieces if piece.token not in self.ids)
        return {token: self.free + number for number, token in enumerate(new)}

    def scores(self, pieces: Sequence[Piece], uses: Mapping[str, int]) -> dict[str, float]:
        """What SentencePiece scores new tokens with where that is not their order; empty elsewhere."""
        return {}

    def leaves(self, pieces: Sequence[Piece]) -> list[list[int]]:
        """For each new token in the order of their ids: the ids of the old ones that it is made of."""
        made = {piece.token: piece for piece in reversed(pieces)}
        return [self._leaves(token, made) for token in self.numbered(pieces)]

    def _leaves(self, token: str, made: Mapping[str, Piece]) -> list[int]:
        if token in self.ids:
            return [self.ids[token]]
        piece = made[token]
        if not piece.left:
            return self.spelled(piece.right)
        return self._leaves(piece.left, made) + self._leaves(piece.right, made)

    def complete(self) -> dict[str, int]:
        """The trained tokens with the added ones among them: the library gives an added token that is not there the
        next free id, which would be another one once there are more trained tokens."""
        return {**self.trained, **{token: number for token, number in self.added.items() if token not in self.trained}}

    @abstractmethod
    def _trained(self) -> dict[str, int]:
        """Token to id, without the added ones."""

    @abstractmethod
    def spell(self, text: str) -> str:
        """Plain text in the tokenizer's spelling."""

    @abstractmethod
    def plain(self, token: str) -> str | None:
        """The text of a token; None where that is not whole characters."""

    @abstractmethod
    def chain(self, character: str, letters: Letters) -> list[Piece]:
        """What makes one character of `letters` one token; empty where it is one already, or cannot become one without
        touching other text."""

    @abstractmethod
    def spelled(self, character: str) -> list[int]:
        """Ids of the tokens that stand for a character which is no token."""

    @abstractmethod
    def grown(self, pieces: Sequence[Piece], uses: Mapping[str, int]) -> dict[str, Any]:
        """The page with the tokens of `pieces`, which are used so many times in the text they were learned from."""
