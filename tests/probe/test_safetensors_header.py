from __future__ import annotations

import json
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penjing.errors import PenjingError
from penjing.probe import safetensors
from penjing.probe.faults import DamagedHeader, EmptyFile, Truncated, UnknownTensorType
from penjing.probe.tensor import Tensor
from tiny_checkpoint import write_safetensors

VALUES = {"a.weight": np.ones((3, 4), np.float32), "b": np.zeros(5, np.float16), "c": np.zeros((), np.float32)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_safetensors(tmp_path / "model.safetensors", VALUES)


def written(path: Path, header: dict[str, Any], data: int) -> Path:
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + bytes(data))
    return path


def entry(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_reads_what_was_written(path: Path) -> None:
    tensors = safetensors.read(path)
    assert [(t.name, t.shape, t.type, t.bytes) for t in tensors] == [
        ("a.weight", (3, 4), "F32", 48),
        ("b", (5,), "F16", 10),
        ("c", (), "F32", 4),
    ]
    assert tensors[-1].offset + 4 == path.stat().st_size


@pytest.mark.parametrize("missing", [1, 10, 61])
def test_truncated(path: Path, missing: int) -> None:
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(Truncated) as caught:
        safetensors.read(path)
    assert caught.value.facts["missing"] == missing


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").touch()
    with pytest.raises(EmptyFile):
        safetensors.read(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, 12),  # overlap
        ({"a": entry(0, 8, [2]), "b": entry(12, 20, [2])}, 20),  # hole
        ({"a": entry(0, 8, [3])}, 8),  # shape against place
        ({"a": entry(8, 0, [2])}, 8),  # backwards
        ({"a": entry(0, 8, [-1, -2])}, 8),  # negative shape
        ({"a": entry(0, 8, [2])}, 9),  # bytes after the end
        ({"a": entry(0, 8, [1 << 40, 1 << 40])}, 8),
        ({"a": {"dtype": "F32"}}, 0),
        ({"a": 1}, 0),
    ],
)
def test_damaged(tmp_path: Path, header: dict[str, Any], data: int) -> None:
    with pytest.raises(DamagedHeader):
        safetensors.read(written(tmp_path / "x.safetensors", header, data))


def test_out_of_bounds(tmp_path: Path) -> None:
    with pytest.raises(Truncated, match="92 bytes are missing"):
        safetensors.read(written(tmp_path / "x.safetensors", {"a": entry(0, 100, [25])}, 8))


def test_unknown_type(tmp_path: Path) -> None:
    with pytest.raises(UnknownTensorType, match="Q9"):
        safetensors.read(written(tmp_path / "x.safetensors", {"a": entry(0, 8, [2], "Q9")}, 8))


@pytest.mark.parametrize("length", [0, 1, 100_000_001, (1 << 64) - 1])
def test_header_length(path: Path, length: int) -> None:
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
    with pytest.raises(DamagedHeader, match="header's length"):
        safetensors.read(path)


def test_deeply_nested_json(tmp_path: Path) -> None:
    content = b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(content)) + content)
    with pytest.raises(DamagedHeader):
        safetensors.read(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_is_an_error_or_tensors(path: Path, data: st.DataObject) -> None:
    whole = bytearray(write_safetensors(path, VALUES).read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        piece = data.draw(st.binary(max_size=9))
        whole[at : at + len(piece)] = piece
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    found: tuple[Tensor, ...] = ()
    with suppress(PenjingError):
        found = safetensors.read(path)
    assert all(tensor.offset + tensor.bytes <= path.stat().st_size for tensor in found)
