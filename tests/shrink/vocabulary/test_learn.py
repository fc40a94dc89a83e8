"""Pieces that are learned for Chinese, on tokenizers that know English: what was encoded before stays as it was."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grown_tokenizers import KINDS, page, paragraphs
from penjing.shrink.vocabulary.byte_level import ByteLevel
from penjing.shrink.vocabulary.learn import RAREST, Learned, learn, runs
from penjing.shrink.vocabulary.letters import Letters
from penjing.shrink.vocabulary.page import Page

SIZE = 500
CHINESE = Letters(frozenset({"CJK"}))
LEARNED_FROM, HELD_OUT = paragraphs("zh")[:-40], paragraphs("zh")[-40:]
mixed = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from("模型的量化，在本地。㐀豈ｱ a1é—“▁Ġ")), max_size=40
)


@functools.cache
def grown(kind: str) -> tuple[Page, Page, Learned]:
    old = page(kind)
    learned = learn(old, runs(old, LEARNED_FROM, CHINESE), CHINESE, SIZE)
    return old, type(old)(old.grown(learned.pieces, learned.uses)), learned


@functools.cache
def byte_parts() -> tuple[Page, Page, dict[int, list[int]]]:
    old, new, learned = grown("byte_level")
    return old, new, {old.free + number: leaves for number, leaves in enumerate(old.leaves(learned.pieces))}


def encoded(side: Page, texts: Sequence[str]) -> list[list[int]]:
    return [each.ids for each in side.tokenizer.encode_batch(list(texts))]


@pytest.mark.parametrize("kind", KINDS)
def test_old_ids_and_old_text_stay(kind: str) -> None:
    old, new, _ = grown(kind)
    assert {token: new.tokenizer.token_to_id(token) for token in old.ids} == old.ids
    assert new.tokenizer.get_vocab_size() == len(new.ids) == len(old.ids) + SIZE
    english = [line for part in paragraphs("en") for line in part.split("\n")]
    assert encoded(new, english) == encoded(old, english)


@pytest.mark.parametrize("kind", KINDS)
def test_new_text_takes_fewer_tokens(kind: str) -> None:
    old, new, _ = grown(kind)
    before, after = (sum(map(len, encoded(side, HELD_OUT))) for side in (old, new))
    assert after <= 0.6 * before
    assert [new.tokenizer.decode(ids) for ids in encoded(new, HELD_OUT)] == [
        old.tokenizer.decode(ids) for ids in encoded(old, HELD_OUT)
    ]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=50, deadline=None)
@given(text=mixed)
def test_text_without_the_letters_is_encoded_as_before(kind: str, text: str) -> None:
    old, new, _ = grown(kind)
    text = "".join(letter for letter in text if letter not in CHINESE)
    assert new.tokenizer.encode(text).ids == old.tokenizer.encode(text).ids


@settings(max_examples=50, deadline=None)
@given(text=mixed)
def test_any_text_is_the_old_tokens_put_together(text: str) -> None:
    old, new, parts = byte_parts()
    ids = new.tokenizer.encode(text).ids
    assert [leaf for number in ids for leaf in parts.get(number, [number])] == old.tokenizer.encode(text).ids


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_are_made_of_the_language(kind: str) -> None:
    old, new, learned = grown(kind)
    whole = [plain for piece in learned.pieces if (plain := new.plain(piece.token)) is not None]
    assert all(letter in CHINESE for plain in whole for letter in plain)
    assert len(whole) > 0.7 * SIZE
    assert min(learned.uses.values()) >= RAREST
    leaves = old.leaves(learned.pieces)
    assert len(leaves) == SIZE
    assert all(each and max(each) < old.free for each in leaves)


def test_what_the_tokenizer_knows_is_gone_on_from() -> None:
    """A second growth begins with the pieces of the first."""
    _, new, _ = grown("byte_level")
    again = learn(new, runs(new, LEARNED_FROM, CHINESE), CHINESE, 100)
    assert len(new.numbered(again.pieces)) == 100
    last = type(new)(new.grown(again.pieces, again.uses))
    assert sum(map(len, encoded(last, LEARNED_FROM))) < sum(map(len, encoded(new, LEARNED_FROM)))


def test_an_alphabet_without_all_bytes() -> None:
    """Characters that the tokenizer cannot even spell are left out."""
    content = page("byte_level").content
    model = content["model"]
    lead = "ä"  # how byte-level BPE writes 0xE4, with which U+4000 ... U+4FFF begin
    some = {token: number for token, number in model["vocab"].items() if token != lead}
    old = ByteLevel({**content, "model": {**model, "vocab": some}})
    learned = learn(old, runs(old, LEARNED_FROM, CHINESE), CHINESE, 100)
    assert len(old.numbered(learned.pieces)) == 100
    assert not any(lead in piece.token for piece in learned.pieces)
