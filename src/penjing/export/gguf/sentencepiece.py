"""`tokenizer.model`: a SentencePiece model read from its protobuf wire format.

Format: github.com/google/sentencepiece, src/sentencepiece_model.proto (field numbers below).

Does not know: added tokens, tokenizer.json.
"""

from __future__ import annotations

import struct
from pathlib import Path

from penjing.export.gguf.faults import TokenizerDamaged, TokenizerUnsupported
from penjing.export.gguf.vocabulary import BYTE, NORMAL, SPACE, USER_DEFINED, Vocabulary
from penjing.probe.protobuf import Broken, fields

PIECES, TRAINER, NORMALIZER = 1, 2, 3  # ModelProto
PIECE, SCORE, TYPE = 1, 2, 3  # ModelProto.SentencePiece
MODEL_TYPE = 3  # TrainerSpec
ADD_DUMMY_PREFIX = 3  # NormalizerSpec
UNIGRAM, BPE = 1, 2  # TrainerSpec.ModelType
KINDS = {UNIGRAM: "Unigram", BPE: "BPE", 3: "Word", 4: "Char"}
LARGEST = 64 << 20


def read(path: Path) -> Vocabulary:
    """The vocabulary of a SentencePiece BPE model. Raises TokenizerDamaged, TokenizerUnsupported."""
    if path.stat().st_size > LARGEST:
        raise TokenizerDamaged(path=str(path), word="it is too large for a tokenizer", value=path.stat().st_size)
    try:
        return _vocabulary(path.read_bytes(), path)
    except (Broken, UnicodeDecodeError, struct.error) as error:
        raise TokenizerDamaged(
            path=str(path), word="it is no SentencePiece model", value=type(error).__name__
        ) from error


def _vocabulary(content: bytes, path: Path) -> Vocabulary:
    tokens: list[str] = []
    types: list[int] = []
    scores: list[float] = []
    kind, prefix = UNIGRAM, True
    for entry in fields(content):
        if not isinstance(entry.value, bytes):
            continue
        if entry.number == PIECES:
            token, score, token_type = _piece(entry.value)
            tokens.append(token)
            scores.append(score)
            types.append(token_type)
        elif entry.number == TRAINER:
            kind = _setting(entry.value, MODEL_TYPE, kind)
        elif entry.number == NORMALIZER:
            prefix = bool(_setting(entry.value, ADD_DUMMY_PREFIX, prefix))
    if not tokens:
        raise Broken
    if kind != BPE:
        raise TokenizerUnsupported(path=str(path), word="the kind", value=KINDS.get(kind, kind), wanted="BPE")
    return Vocabulary("llama", "default", tokens, types, scores, settings={"add_space_prefix": prefix})


def _piece(message: bytes) -> tuple[str, float, int]:
    token, score, kind = "", 0.0, NORMAL
    for entry in fields(message):
        if entry.number == PIECE and isinstance(entry.value, bytes):
            token = entry.value.decode("utf-8")
        elif entry.number == SCORE and isinstance(entry.value, bytes):
            (score,) = struct.unpack("<f", entry.value)
        elif entry.number == TYPE and isinstance(entry.value, int):
            kind = entry.value if NORMAL <= entry.value <= BYTE else NORMAL
    # llama.cpp looks for a user's piece in the text before spaces are made visible
    return token.replace(SPACE, " ") if kind == USER_DEFINED else token, score, kind


def _setting(message: bytes, number: int, default: int) -> int:
    values = [entry.value for entry in fields(message) if entry.number == number and isinstance(entry.value, int)]
    return values[-1] if values else default
