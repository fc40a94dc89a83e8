from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import pytest
import sentencepiece as library
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penjing.errors import PenjingError
from penjing.export.gguf import sentencepiece
from penjing.export.gguf.faults import TokenizerDamaged, TokenizerUnsupported
from penjing.export.gguf.vocabulary import BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED

TEXT = ["the quick brown fox jumps over the lazy dog", "盆景把大模型养小，在自己的机器上", "print(2 ** 10)"] * 30


def trained(kind: str = "bpe", *, prefix: bool = True) -> bytes:
    content = io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT),
        model_writer=content,
        vocab_size=360,
        model_type=kind,
        byte_fallback=True,
        add_dummy_prefix=prefix,
        user_defined_symbols=["<tool>", "▁▁"],
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return content.getvalue()


@pytest.fixture(scope="module")
def model() -> bytes:
    return trained()


@pytest.mark.parametrize("prefix", [True, False])
def test_agrees_with_the_library(tmp_path: Path, prefix: bool) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(trained(prefix=prefix))
    found = sentencepiece.read(path)
    theirs = library.SentencePieceProcessor(str(path))
    pieces = [theirs.id_to_piece(number) for number in range(theirs.get_piece_size())]
    assert "▁▁" in pieces
    assert found.tokens == ["  " if piece == "▁▁" else piece for piece in pieces]
    assert found.scores == pytest.approx([theirs.get_score(number) for number in range(len(found.tokens))])
    for number, kind in enumerate(found.types):
        assert (kind == UNKNOWN) == theirs.is_unknown(number)
        assert (kind == CONTROL) == theirs.is_control(number)
        assert (kind == BYTE) == theirs.is_byte(number)
    assert found.types[found.tokens.index("<tool>")] == USER_DEFINED
    assert NORMAL in found.types
    assert found.settings["add_space_prefix"] is prefix


def test_unigram_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(trained("unigram"))
    with pytest.raises(TokenizerUnsupported, match="BPE"):
        sentencepiece.read(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", b"<html>"])
def test_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(content)
    with pytest.raises(TokenizerDamaged):
        sentencepiece.read(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_is_an_error_or_a_vocabulary(model: bytes, tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(model)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        piece = data.draw(st.binary(max_size=6))
        whole[at : at + len(piece)] = piece
    path = tmp_path / "tokenizer.model"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole)
    with suppress(PenjingError):
        found = sentencepiece.read(path)
        assert len(found.tokens) == len(found.scores) == len(found.types)
