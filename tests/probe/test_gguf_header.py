from __future__ import annotations

import struct
from pathlib import Path

import gguf as library
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penjing.errors import PenjingError
from penjing.probe import ggml, gguf
from penjing.probe.faults import (
    DamagedHeader,
    HeaderCut,
    Truncated,
    UnknownFormatVersion,
    UnknownTensorType,
    WrongByteOrder,
)
from penjing.probe.model import Model, read
from tiny_model import Shape, write_tiny_gguf


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shape = Shape(layers=1, width=32, feed_forward=32)
    return write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", shape)


def changed(tiny: Path, tmp_path: Path, at: int, content: bytes) -> Path:
    whole = bytearray(tiny.read_bytes())
    whole[at : at + len(content)] = content
    path = tmp_path / "changed.gguf"
    path.write_bytes(whole)
    return path


def test_agrees_with_the_library(tiny: Path) -> None:
    header = gguf.read(tiny)
    reader = library.GGUFReader(tiny)
    assert [(t.name, t.shape, t.type, t.offset, t.bytes) for t in header.tensors] == [
        (t.name, tuple(int(n) for n in reversed(t.shape)), t.tensor_type.name, t.data_offset, t.n_bytes)
        for t in reader.tensors
    ]
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key in header.lengths:
            continue
        value = field.contents()
        assert header.metadata[key] == (pytest.approx(value) if isinstance(value, float) else value)
    assert header.lengths["tokenizer.ggml.tokens"] == 259


def test_types_are_those_of_the_library() -> None:
    for number, (name, block, size) in ggml.TYPES.items():
        kind = library.GGMLQuantizationType(number)
        assert (kind.name, *library.GGML_QUANT_SIZES[kind]) == (name, block, size)
    assert len(ggml.TYPES) == len(library.GGMLQuantizationType)


def test_truncated_says_how_much_is_missing(tiny: Path, tmp_path: Path) -> None:
    whole = tiny.read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(whole[:-1000])
    with pytest.raises(Truncated) as caught:
        gguf.read(path)
    assert caught.value.facts["size"] == len(whole) - 1000
    assert 960 <= int(str(caught.value.facts["missing"])) <= 1000  # without the padding at the end


@pytest.mark.parametrize("length", [4, 7, 8, 20, 24, 40, 200])
def test_truncated_in_the_header(tiny: Path, tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny.read_bytes()[:length])
    with pytest.raises(HeaderCut):
        gguf.read(path)


def test_wrong_byte_order(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongByteOrder) as caught:
        gguf.read(changed(tiny, tmp_path, 4, struct.pack(">I", 3)))
    assert "gguf-convert-endian" in caught.value.advice("en")


def test_a_real_big_endian_file(tmp_path: Path) -> None:
    path = tmp_path / "big.gguf"
    writer = library.GGUFWriter(path, "llama", endianess=library.GGUFEndian.BIG)
    writer.add_name("big")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(WrongByteOrder):
        read(path)


@pytest.mark.parametrize("version", [0, 1, 4, 99])
def test_unknown_version(tiny: Path, tmp_path: Path, version: int) -> None:
    with pytest.raises(UnknownFormatVersion):
        gguf.read(changed(tiny, tmp_path, 4, struct.pack("<I", version)))


@pytest.mark.parametrize("at", [8, 16])
def test_hostile_counts(tiny: Path, tmp_path: Path, at: int) -> None:
    with pytest.raises(DamagedHeader):
        gguf.read(changed(tiny, tmp_path, at, struct.pack("<Q", 1 << 62)))


def test_hostile_length_of_a_token(tiny: Path, tmp_path: Path) -> None:
    name = b"tokenizer.ggml.tokens"
    at = tiny.read_bytes().index(name) + len(name) + 4 + 4 + 8
    with pytest.raises(DamagedHeader, match="length of a text"):
        gguf.read(changed(tiny, tmp_path, at, struct.pack("<Q", 1 << 62)))


def test_overlapping_tensors(tiny: Path, tmp_path: Path) -> None:
    name = b"blk.0.attn_k.weight"
    at = tiny.read_bytes().index(name) + len(name) + 4 + 16 + 4
    with pytest.raises(DamagedHeader, match=">="):
        gguf.read(changed(tiny, tmp_path, at, struct.pack("<Q", 0)))
    with pytest.raises(DamagedHeader, match="% 32 == 0"):
        gguf.read(changed(tiny, tmp_path, at, struct.pack("<Q", 33)))


def test_unknown_tensor_type(tiny: Path, tmp_path: Path) -> None:
    name = b"blk.0.attn_k.weight"
    at = tiny.read_bytes().index(name) + len(name) + 4 + 16
    with pytest.raises(UnknownTensorType, match="attn_k"):
        gguf.read(changed(tiny, tmp_path, at, struct.pack("<I", 77)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_is_an_error_or_a_model(tiny: Path, tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(tiny.read_bytes())
    header = gguf.read(tiny).tensors[0].offset
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, header - 1))
        piece = data.draw(
            st.sampled_from([b"\x00", b"\xff", b"\xff" * 8, b"\x7f" + b"\xff" * 7]) | st.binary(max_size=9)
        )
        whole[at : at + len(piece)] = piece
    path = tmp_path / "mutated.gguf"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole)
    found: Model | PenjingError
    try:
        found = read(path)
    except PenjingError as error:
        found = error
    assert isinstance(found, Model) or (found.message("zh") and found.advice("en"))
