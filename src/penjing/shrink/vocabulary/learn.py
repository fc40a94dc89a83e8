"""Which pieces to add: byte-pair encoding goes on from where the old tokenizer ends.

The text is encoded as the old tokenizer does it; what it makes of the new letters is joined on, the most frequent
neighbours first (Sennrich, Haddow and Birch 2016), by the `tokenizers` library. Pieces are learned from what they will
meet, so none of them is out of reach, as are pieces of a tokenizer that was trained alone and then transplanted.

Single characters first, where they pay: each piece is worth the tokens that it saves, and the best `size` are kept.

Does not know: how a kind of tokenizer writes pieces down.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from penjing.shrink.vocabulary.letters import Letters, script
from penjing.shrink.vocabulary.page import Page, Piece

if TYPE_CHECKING:
    from tokenizers import Tokenizer

RAREST = 3
"""A piece must be used so many times in the text."""
LONGEST = 8
"""Old tokens in a piece: longer ones are phrases of this text, not words of the language."""
SYMBOLS = 0xF0000
"""Code points for private use, one for each token that the text is made of."""
SAVED_BY_CHARACTER = 2
"""Tokens that are saved where a character was spelled in three bytes."""


@dataclass(frozen=True)
class Learned:
    """`pieces`, the most used first, each after its parts; `uses`: how often each of their tokens is made in the
    text."""

    pieces: tuple[Piece, ...]
    uses: Mapping[str, int]


def learn(page: Page, runs: Mapping[str, int], letters: Letters, size: int) -> Learned:
    """At most `size` new tokens for text that has these `runs` of letters so many times (see `runs`)."""
    words = _words(page, runs)
    singles = _singles(page, words, letters)
    counts = {piece.token: 1 for piece in singles}
    counts.update(_characters(words))
    first = type(page)(page.grown(singles, counts))
    merges, uses = _merges(first, words, letters, size)
    every = [*singles, *merges]
    for piece in reversed(singles):
        for part in (piece.left, piece.right):
            uses[part] += uses[piece.token]
    worth = {piece: uses[piece.token] * (1 if piece.left else SAVED_BY_CHARACTER) for piece in every}
    ordered = sorted((piece for piece in every if worth[piece] >= RAREST), key=lambda piece: -worth[piece])
    chosen = _first(page, ordered, size)
    return Learned(tuple(chosen), {piece.token: uses[piece.token] for piece in chosen})


def runs(page: Page, texts: Sequence[str], letters: Letters) -> Counter[str]:
    """Runs of `letters` in the texts as the tokenizer sees them, marks of punctuation each alone."""
    found: Counter[str] = Counter()
    kinds: dict[str, str] = {}
    for text in map(page.normalized, texts):
        for new in set(text) - kinds.keys():
            kinds[new] = ("letter" if script(new) else "mark") if new in letters else ""
        for kind, group in groupby(text, key=kinds.__getitem__):
            if kind:
                run = "".join(group)
                found.update([run] if kind == "letter" else run)
    return found


def _words(page: Page, runs: Mapping[str, int]) -> Counter[str]:
    words: Counter[str] = Counter()
    for run, count in runs.items():
        for word in page.words(run):
            words[word] += count
    del words[""]
    return words


def _characters(words: Mapping[str, int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            found[character] += count
    return found


def _singles(page: Page, words: Mapping[str, int], letters: Letters) -> list[Piece]:
    """What makes characters that are not too rare one token each, without repetitions."""
    found: dict[Piece, None] = {}
    for character, count in _characters(words).most_common():
        if count >= RAREST and character in letters:
            found.update(dict.fromkeys(page.chain(character, letters)))
    return list(found)


def _merges(page: Page, words: Mapping[str, int], letters: Letters, size: int) -> tuple[list[Piece], Counter[str]]:
    """Pieces of several characters in the order in which they are learned, and how often every token is made."""
    symbols: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for sequence in _sequences(page, word, letters, symbols):
            counts[sequence] += count
    tokens = {symbol: token for token, symbol in symbols.items() if symbol}
    trained = _trained(counts, list(tokens), size)
    uses: Counter[str] = Counter()
    for (_, count), encoded in zip(counts.items(), trained.encode_batch(list(counts)), strict=True):
        for token in encoded.tokens:
            uses[_spelled(token, tokens)] += count
    state = json.loads(trained.to_str())["model"]["merges"]
    pieces = [Piece(_spelled(left, tokens), _spelled(right, tokens)) for left, right in state]
    seen: set[str] = set()
    for piece in reversed(pieces):
        if piece.token not in seen:
            seen.add(piece.token)
            uses[piece.left] += uses[piece.token]
            uses[piece.right] += uses[piece.token]
    return pieces, uses


def _sequences(page: Page, word: str, letters: Letters, symbols: dict[str, str]) -> Iterator[str]:
    """Tokens of a word as symbols, cut at those that are no whole letters (they get the empty symbol)."""
    current = ""
    for token in page.tokens(word):
        symbol = symbols.get(token)
        if symbol is None:
            plain = page.plain(token)
            mine = bool(plain) and all(letter in letters for letter in plain or "")
            symbol = symbols[token] = chr(SYMBOLS + len(symbols)) if mine else ""
        if not symbol and current:
            yield current
        current = current + symbol if symbol else ""
    if current:
        yield current


def _trained(counts: Mapping[str, int], symbols: list[str], size: int) -> Tokenizer:
    from tokenizers import Tokenizer, models, trainers

    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=len(symbols) + size,
        min_frequency=RAREST,
        initial_alphabet=symbols,
        max_token_length=LONGEST,
        show_progress=False,
    )
    tokenizer.train_from_iterator((word for word, count in counts.items() for _ in range(count)), trainer)
    return tokenizer


def _spelled(symbols: str, tokens: Mapping[str, str]) -> str:
    return "".join(tokens[symbol] for symbol in symbols)


def _first(page: Page, ordered: Sequence[Piece], size: int) -> list[Piece]:
    """The first pieces that need no more than `size` new tokens and whose parts are there."""
    known, chosen = set(page.ids), []
    for piece in ordered:
        if piece.token not in known and len(known) - len(page.ids) >= size:
            continue
        if not piece.left or (piece.left in known and piece.right in known):
            known.add(piece.token)
            chosen.append(piece)
    return chosen
