"""SentencePiece's two kinds as tokenizer.json spells them: BPE by scores (as a list of merges), and Unigram.

Of BPE: pieces with scores below all old ones are joined after everything old, as merges at the list's end are. A new
piece may be half of an old token; SentencePiece then joins the halves by itself, so the list gets that merge too, where
the old token has its others.

Of Unigram: a text without a new piece in it has the same best segmentation as before.

Does not know: tokenizer.model, which pieces are worth adding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penjing.shrink.vocabulary.letters import Letters
from penjing.shrink.vocabulary.page import Page, Piece

UNREACHED = -1e4
"""Score of an added token among Unigram's pieces: it is found before text is segmented."""


class Sentence(Page):
    """What both have in common: characters are characters, or are spelled in bytes."""

    def spell(self, text: str) -> str:
        return text

    def plain(self, token: str) -> str | None:
        return token

    def chain(self, character: str, letters: Letters) -> list[Piece]:
        return [] if character in self.ids else [Piece("", character)]

    def spelled(self, character: str) -> list[int]:
        names = [f"<0x{byte:02X}>" for byte in character.encode()]
        if all(name in self.ids for name in names):
            return [self.ids[name] for name in names]
        return self._unknown()

    def _unknown(self) -> list[int]:
        """What stands for a character that is in no word; each kind keeps it elsewhere."""
        raise NotImplementedError


class SentenceBpe(Sentence):
    """Llama 2, Mistral, Gemma."""

    def _trained(self) -> dict[str, int]:
        return dict(self.content["model"]["vocab"])

    def _unknown(self) -> list[int]:
        token = self.content["model"].get("unk_token")
        return [self.ids[token]] if token in self.ids else []

    def grown(self, pieces: Sequence[Piece], uses: Mapping[str, int]) -> dict[str, Any]:
        model = dict(self.content["model"])
        old = [tuple(pair.split(" ", 1)) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
        joined = bool(model["merges"]) and isinstance(model["merges"][0], str)
        new = self.numbered(pieces)
        known = {**self.complete(), **new}
        merges = list(self._halves_of_old(old, new, known))
        merges += [pair for token in new for pair in _cuts(token, known)]
        model["merges"] = [" ".join(pair) if joined else list(pair) for pair in merges]
        model["vocab"] = known
        return {**self.content, "model": model}

    def _halves_of_old(
        self, merges: Sequence[tuple[str, ...]], new: Mapping[str, int], known: Mapping[str, int]
    ) -> Iterator[tuple[str, ...]]:
        """The old merges, and after those of each old token its merges with new halves."""
        for number, (left, right) in enumerate(merges):
            yield left, right
            token = left + right
            if number + 1 == len(merges) or "".join(merges[number + 1]) != token:
                yield from (pair for pair in _cuts(token, known) if pair[0] in new or pair[1] in new)


class Unigram(Sentence):
    """T5, XLM-R, ALBERT."""

    def _trained(self) -> dict[str, int]:
        return {token: number for number, (token, _) in enumerate(self.content["model"]["vocab"])}

    def _unknown(self) -> list[int]:
        number = self.content["model"].get("unk_id")
        return [number] if isinstance(number, int) else []

    def grown(self, pieces: Sequence[Piece], uses: Mapping[str, int]) -> dict[str, Any]:
        model = dict(self.content["model"])
        table = [list(entry) for entry in model["vocab"]]
        outside = {number: token for token, number in self.added.items()}
        gap = range(len(table), self.free)
        table += [[outside.get(number, f"[PAD{number}]"), UNREACHED] for number in gap]
        table += [[token, score] for token, score in self.scores(pieces, uses).items()]
        model["vocab"] = table
        return {**self.content, "model": model}

    def scores(self, pieces: Sequence[Piece], uses: Mapping[str, int]) -> dict[str, float]:
        """ln of each new token's share of the text."""
        total = sum(uses.values()) or 1
        return {token: math.log(max(uses.get(token, 1), 1) / total) for token in self.numbered(pieces)}


def _cuts(token: str, known: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    for at in range(1, len(token)):
        if token[:at] in known and token[at:] in known:
            yield token[:at], token[at:]
