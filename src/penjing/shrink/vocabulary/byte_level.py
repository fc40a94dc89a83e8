"""Byte-level BPE: merges appended after the old ones.

Old merges always go first, so new ones find what an old tokenizer would have made, and join some of it: encoding is
the old one with runs of tokens put together. And each new token has in it a character of the new language, or bytes
that begin only such characters; so a text without them has none of the new tokens.

Does not know: pre-tokenizers, which pieces are worth adding.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from penjing.shrink.vocabulary.letters import Letters
from penjing.shrink.vocabulary.page import Page, Piece

PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
"""Bytes that stand for themselves (GPT-2's `bytes_to_unicode`); the others are U+0100 and on."""


@functools.cache
def alphabet() -> tuple[str, ...]:
    """The letter for each of the 256 bytes."""
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte) if byte in PRINTABLE else chr(next(others)) for byte in range(256))


@functools.cache
def _bytes() -> dict[str, int]:
    return {letter: byte for byte, letter in enumerate(alphabet())}


class ByteLevel(Page):
    """GPT-2's kind: Qwen, Llama 3, DeepSeek, Phi, the guide."""

    def _trained(self) -> dict[str, int]:
        return dict(self.content["model"]["vocab"])

    def spell(self, text: str) -> str:
        return "".join(alphabet()[byte] for byte in text.encode())

    def plain(self, token: str) -> str | None:
        raw = self._raw(token)
        try:
            return raw.decode() if raw is not None else None
        except UnicodeDecodeError:
            return None

    def _raw(self, token: str) -> bytes | None:
        found = [_bytes().get(letter, -1) for letter in token]
        return bytes(found) if min(found, default=-1) >= 0 else None

    def chain(self, character: str, letters: Letters) -> list[Piece]:
        tokens = self.tokens(character)
        if "".join(tokens) != self.spell(character):  # an alphabet that lacks bytes
            return []
        left, *rest = tokens
        pieces = []
        for right in rest:
            pieces.append(Piece(left, right))
            left += right
            raw = self._raw(left)
            if raw is None or (right is not rest[-1] and not letters.all_from(raw)):
                return []
        return pieces

    def spelled(self, character: str) -> list[int]:
        return [self.ids[letter] for letter in self.spell(character) if letter in self.ids]

    def grown(self, pieces: Sequence[Piece], uses: Mapping[str, int]) -> dict[str, Any]:
        model = dict(self.content["model"])
        old = model["merges"]
        joined = bool(old) and isinstance(old[0], str)
        model["merges"] = [*old, *([f"{p.left} {p.right}" if joined else [p.left, p.right] for p in pieces])]
        model["vocab"] = {**self.complete(), **self.numbered(pieces)}
        return {**self.content, "model": model}
