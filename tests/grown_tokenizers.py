"""Tokenizers that know English only, one of each kind, trained on this project's own pages; its Chinese pages are the
language to add."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from penjing.shrink.vocabulary.byte_level import ByteLevel
from penjing.shrink.vocabulary.page import Page
from penjing.shrink.vocabulary.sentence import SentenceBpe, Unigram

DOCS = Path(__file__).parents[1] / "docs"
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SIZE = 1200


@functools.cache
def paragraphs(language: str, most: int = 30_000) -> tuple[str, ...]:
    """Paragraphs of the pages in one language, about `most` characters of them; English ones without a Chinese
    letter."""
    found, size = [], 0
    for page in sorted((DOCS / language).glob("*.md")):
        for part in page.read_text(encoding="utf-8").split("\n\n"):
            if part.strip() and size < most and (language == "zh" or part.isascii()):
                found.append(part)
                size += len(part)
    return tuple(found)


@functools.cache
def byte_level() -> dict[str, Any]:
    """As GPT-2's, its marks after the trained tokens, where nothing but their ids says where they are."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=SIZE, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(paragraphs("en"), trainer)
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in MARKS])
    page: dict[str, Any] = json.loads(tokenizer.to_str())
    return page


@functools.cache
def whole_words() -> dict[str, Any]:
    """As Llama 3's: what is a token as a whole is not merged."""
    page = byte_level()
    return {**page, "model": {**page["model"], "ignore_merges": True}}


@functools.cache
def sentence_model(kind: str = "bpe") -> bytes:
    """A `tokenizer.model` as Llama 2's."""
    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for part in paragraphs("en") for line in part.split("\n")]),
        model_writer=content,
        vocab_size=SIZE,
        model_type=kind,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return content.getvalue()


@functools.cache
def sentence_bpe() -> dict[str, Any]:
    """The same as tokenizer.json: every pair of tokens whose text is a token, in the order of scores."""
    model = sentencepiece.SentencePieceProcessor(model_proto=sentence_model())
    pieces = {model.id_to_piece(number): number for number in range(model.get_piece_size())}
    cuts = [(p, p[:at], p[at:]) for p in pieces for at in range(1, len(p)) if p[:at] in pieces and p[at:] in pieces]
    cuts.sort(key=lambda cut: -model.get_score(pieces[cut[0]]))
    merges = [(left, right) for _, left, right in cuts if not left.startswith("<0x")]
    tokenizer = Tokenizer(models.BPE(pieces, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    page: dict[str, Any] = json.loads(tokenizer.to_str())
    return page


@functools.cache
def unigram() -> dict[str, Any]:
    """As T5's, with a mark after the trained pieces."""
    model = sentencepiece.SentencePieceProcessor(model_proto=sentence_model("unigram"))
    pieces = [(model.id_to_piece(number), model.get_score(number)) for number in range(model.get_piece_size())]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    tokenizer.add_special_tokens([AddedToken("<extra>", special=True, normalized=False)])
    page: dict[str, Any] = json.loads(tokenizer.to_str())
    return page


KINDS: dict[str, tuple[type[Page], Callable[[], dict[str, Any]]]] = {
    "byte_level": (ByteLevel, byte_level),
    "whole_words": (ByteLevel, whole_words),
    "sentence_bpe": (SentenceBpe, sentence_bpe),
    "unigram": (Unigram, unigram),
}


def page(kind: str) -> Page:
    """The tokenizer of one of KINDS."""
    form, content = KINDS[kind]
    return form(content())
