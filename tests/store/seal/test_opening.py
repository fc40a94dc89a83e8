from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penjing.errors import PenjingError
from penjing.progress import Progress
from penjing.store.seal import form, keys
from penjing.store.seal.faults import ChunkAltered, NotSealed, SealDamaged, SealedCut
from penjing.store.seal.form import CHUNK, TAG
from penjing.store.seal.keys import SealSettings
from penjing.store.seal.opening import open_sealed
from penjing.store.seal.sealing import seal

linux = pytest.mark.skipif(sys.platform != "linux", reason="files that are only in memory are Linux's")


def unsealed(path: Path, means: SealSettings) -> bytes:
    target = path.with_name("again")
    open_sealed(path, means).write(target)
    return target.read_bytes()


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 3 * 4096])
@pytest.mark.parametrize("cipher", ["aes-256-gcm", "chacha20-poly1305"])
def test_what_was_sealed_comes_back(tmp_path: Path, command: SealSettings, size: int, cipher: form.Cipher) -> None:
    plain, path = tmp_path / "a", tmp_path / "a.sealed"
    plain.write_bytes(os.urandom(size))
    seal(plain, path, (partial(keys.command_slot, command.key_command),), cipher=cipher, chunk=4096)
    assert unsealed(path, command) == plain.read_bytes()


def test_nothing_of_the_content_is_in_the_sealed_file(sealed: Path, plain: Path) -> None:
    content, hidden = plain.read_bytes(), sealed.read_bytes()
    assert len(hidden) < len(content) + 1000
    assert all(content[at : at + 16] not in hidden for at in range(0, len(content), CHUNK // 2))


@linux
def test_memory_that_nobody_changes(sealed: Path, plain: Path, command: SealSettings) -> None:
    said: list[Progress] = []
    memory = open_sealed(sealed, command).memory(said.append)
    assert memory.path.read_bytes() == plain.read_bytes()
    assert memory.path.stat().st_mtime_ns == sealed.stat().st_mtime_ns
    assert said[-1] == Progress(1.0, "unsealing")
    for act in (
        lambda: os.pwrite(memory.descriptor, b"x", 0),
        lambda: os.ftruncate(memory.descriptor, 1),
        lambda: os.ftruncate(memory.descriptor, 1 << 30),
    ):
        with pytest.raises(PermissionError):
            act()
    path = memory.path
    memory.close()
    memory.close()
    assert not path.exists()


@linux
def test_a_failed_opening_leaves_no_memory(sealed: Path, command: SealSettings) -> None:
    opened, before = open_sealed(sealed, command), descriptors()
    flip(sealed, sealed.stat().st_size - 1)
    with pytest.raises(ChunkAltered):
        opened.memory()
    assert descriptors() == before


@linux
def test_ctrl_c(sealed: Path, command: SealSettings) -> None:
    before = descriptors()

    def give_up(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_sealed(sealed, command).memory(give_up)
    with pytest.raises(KeyboardInterrupt):
        open_sealed(sealed, command).write(sealed.with_name("out"), give_up)
    assert descriptors() == before
    assert not [path for path in sealed.parent.iterdir() if path.name.endswith(("out", ".part"))]


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208  # names alone


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(at)
        (byte,) = stream.read(1)
        stream.seek(at)
        stream.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("chunk", range(6))
@pytest.mark.parametrize("place", [0, TAG])
def test_a_flipped_bit_is_named_by_its_chunk(sealed: Path, command: SealSettings, chunk: int, place: int) -> None:
    flip(sealed, form.read(sealed).place(chunk) + place)
    with pytest.raises(ChunkAltered, match=f"chunk {chunk + 1} of 6 ") as refused:
        unsealed(sealed, command)
    assert refused.value.facts["begin"] == form.read(sealed).place(chunk)
    assert not sealed.with_name("again").exists()


def test_chunks_in_another_order(sealed: Path, command: SealSettings) -> None:
    content, begin = bytearray(sealed.read_bytes()), form.read(sealed).begin
    step = CHUNK + TAG
    one, two = content[begin : begin + step], content[begin + step : begin + 2 * step]
    content[begin : begin + 2 * step] = two + one
    sealed.write_bytes(content)
    with pytest.raises(ChunkAltered, match=r"chunk [12] of 6"):
        unsealed(sealed, command)


def test_a_chunk_of_another_file_under_the_same_key(sealed: Path, plain: Path, command: SealSettings) -> None:
    other = plain.with_name("other.sealed")
    seal(plain, other, (partial(keys.command_slot, command.key_command),))
    begin, step = form.read(sealed).begin, CHUNK + TAG
    content, theirs = bytearray(sealed.read_bytes()), other.read_bytes()
    content[begin : begin + step] = theirs[form.read(other).begin :][:step]
    sealed.write_bytes(content)
    with pytest.raises(ChunkAltered, match="chunk 1 of 6"):
        unsealed(sealed, command)


@pytest.mark.parametrize("left", [-1, -TAG, -77, -(77 + TAG), -(CHUNK + 77 + 2 * TAG), 1])
def test_a_file_that_was_cut_or_grew(sealed: Path, command: SealSettings, left: int) -> None:
    size = sealed.stat().st_size
    os.truncate(sealed, size + left)
    with pytest.raises(SealedCut, match=f"{size + left} bytes instead of {size}"):
        unsealed(sealed, command)


def test_cut_at_a_chunk_and_the_header_made_to_fit(sealed: Path, command: SealSettings) -> None:
    """Who cuts whole chunks off and corrects the size in the header has no key for its HMAC."""
    found = form.read(sealed)
    size = form.CHUNK * 5
    shorter = found.raw.replace(b'"size":5242957', b'"size":%d' % size)
    assert len(shorter) == len(found.raw)
    chunks = sealed.read_bytes()[found.begin : found.begin + 5 * (CHUNK + TAG)]
    sealed.write_bytes(shorter + found.mac + chunks)
    with pytest.raises(SealDamaged, match="HMAC"):
        unsealed(sealed, command)


def test_a_file_that_shrinks_while_it_is_read(sealed: Path, command: SealSettings) -> None:
    opened = open_sealed(sealed, command)
    os.truncate(sealed, form.read(sealed).place(3) + 5)
    with pytest.raises(SealedCut):
        opened.write(sealed.with_name("again"))


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"PJSEAL\0", b"PJSEAL\0\x02" + bytes(40), form.START, form.START + b"\xff" * 99]
)
def test_what_is_no_sealed_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises((NotSealed, SealDamaged, SealedCut)):
        open_sealed(path, SealSettings())


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_changed_header_opens(sealed: Path, command: SealSettings, data: st.DataObject) -> None:
    content = sealed.read_bytes()
    begin = form.read(sealed).begin
    at = data.draw(st.integers(0, begin - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != content[at]))
    path = sealed.with_name("changed")
    path.write_bytes(content[:at] + bytes([value]) + content[at + 1 :])
    with pytest.raises(PenjingError):
        open_sealed(path, MEANS.setdefault(command.key_command, command))


MEANS: dict[str, SealSettings] = {}
