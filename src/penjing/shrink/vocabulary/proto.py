"""Pieces appended to `tokenizer.model`: a repeated field of a protobuf message goes on at the message's end.

Format: github.com/google/sentencepiece, src/sentencepiece_model.proto. A message that stands twice is merged, and later
fields win, so the new number of pieces is a second trainer_spec.

Does not know: which pieces, tokenizer.json.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from penjing.errors import ModelCorrupt
from penjing.probe import protobuf
from penjing.probe.protobuf import Broken, fields

PIECES, TRAINER = 1, 2  # ModelProto
PIECE, SCORE, TYPE = 1, 2, 3  # ModelProto.SentencePiece
MODEL_TYPE, VOCAB_SIZE = 3, 4  # TrainerSpec
NORMAL, UNUSED = 1, 5  # ModelProto.SentencePiece.Type
BPE = 2  # TrainerSpec.ModelType


def grown(path: Path, new: Mapping[str, int], scores: Mapping[str, float]) -> bytes:
    """The SentencePiece model at `path` with the pieces `new` (text to id), those between its own and these filled with
    pieces that are never produced. A BPE's scores go on below its lowest in the order of `new`; another kind takes
    `scores`. Raises ModelCorrupt."""
    content = path.read_bytes()
    try:
        count, lowest, kind = _facts(content)
    except (Broken, struct.error) as error:
        raise ModelCorrupt(path=str(path), detail="it is no SentencePiece model") from error
    first = min(new.values(), default=count)
    out = [content, *(_piece(f"[PAD{number}]", 0.0, UNUSED) for number in range(count, first))]
    for rank, text in enumerate(new, 1):
        out.append(_piece(text, lowest - rank if kind == BPE else scores[text], NORMAL))
    out.append(protobuf.message(TRAINER, protobuf.integer(VOCAB_SIZE, first + len(new))))
    return b"".join(out)


def _facts(content: bytes) -> tuple[int, float, int]:
    """Pieces, the lowest score of an ordinary one, TrainerSpec.ModelType. Raises Broken."""
    count, lowest, kind = 0, 0.0, 0
    for entry in fields(content):
        if entry.number == PIECES and isinstance(entry.value, bytes):
            count += 1
            parts = {part.number: part.value for part in fields(entry.value)}
            score = parts.get(SCORE)
            if isinstance(score, bytes) and parts.get(TYPE, NORMAL) == NORMAL:
                lowest = min(lowest, *struct.unpack("<f", score))
        elif entry.number == TRAINER and isinstance(entry.value, bytes):
            found = {part.number: part.value for part in fields(entry.value)}.get(MODEL_TYPE, kind)
            kind = found if isinstance(found, int) else kind
    return count, lowest, kind


def _piece(text: str, score: float, kind: int) -> bytes:
    inner = protobuf.message(PIECE, text.encode()) + protobuf.real(SCORE, score) + protobuf.integer(TYPE, kind)
    return protobuf.message(PIECES, inner)
