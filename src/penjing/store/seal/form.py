"""The form of a sealed file, version 1. Numbers are little-endian unless said otherwise.

    8    "PJSEAL" 0x00, then the version as one byte
    4    length of the header
    ...  the header: JSON, see `Header`
    32   HMAC-SHA256 of everything before it
    ...  the chunks: each `chunk` bytes of the file, encrypted, and 16 bytes of tag; the last one may be shorter

One random *file key* of 32 bytes is behind everything; HKDF-SHA256 with the file's id as salt makes of it the key of
the header's HMAC (info `penjing seal header v1`) and of the chunks (`penjing seal chunks v1`). Each slot holds the
file key, encrypted (ChaCha20-Poly1305, nonce zero, associated data the first 8 bytes and the id) under HKDF-SHA256 of
what opens the slot, with the slot's salt (`penjing seal slot v1`).

A chunk's nonce is its index (11 bytes, big-endian) and a byte that is 1 in the last chunk only: the STREAM
construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015), as age-encryption.org/v1 uses it. Its associated data is the
first 8 bytes of the file, the id, the index (8 bytes) and that last byte. So no chunk can be changed, left out, moved
or taken from another file, and nothing can be cut off or added.

Does not know: where keys come from, what is in the file.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from penjing.probe.looks import SEALED
from penjing.store.seal.faults import NotSealed, SealDamaged, SealedCut, WrongSealKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

MAGIC, VERSION = SEALED, 1
START = MAGIC + bytes([VERSION])
LENGTH, MAC, TAG, KEY, ID = 4, 32, 16, 32, 16
LONGEST = 64 << 10
"""Bytes a header may have."""
CHUNK = 1 << 20
Cipher = Literal["aes-256-gcm", "chacha20-poly1305"]
CIPHERS: tuple[Cipher, ...] = get_args(Cipher)
HEADER_INFO, CHUNKS_INFO, SLOT_INFO = (f"penjing seal {what} v1".encode() for what in ("header", "chunks", "slot"))


class Passphrase(msgspec.Struct, frozen=True, tag_field="by", tag="passphrase"):
    """scrypt (RFC 7914) with N = 2 ** `log_n`; the bounds keep a hostile header from costing more than 1 GB."""

    salt: bytes
    wrapped: bytes
    log_n: Annotated[int, Meta(ge=10, le=20)] = 17
    r: Annotated[int, Meta(ge=1, le=8)] = 8
    p: Annotated[int, Meta(ge=1, le=4)] = 1


class Keyring(msgspec.Struct, frozen=True, tag_field="by", tag="keyring"):
    """`account`: under which name the system's keyring has the key."""

    salt: bytes
    wrapped: bytes
    account: str


class Command(msgspec.Struct, frozen=True, tag_field="by", tag="command"):
    """Which command is not said here: a file must not choose what is run."""

    salt: bytes
    wrapped: bytes


Slot = Passphrase | Keyring | Command


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """`id`: 16 random bytes. `size`: bytes of the plain file; `head`: how many of them hold the header of a GGUF (0
    for another kind of file), so that it can be probed alone. `chunk`: plain bytes in a chunk. `name`: of the plain
    file."""

    cipher: Cipher = "aes-256-gcm"
    id: bytes
    name: str
    size: Annotated[int, Meta(ge=0, le=1 << 53)]
    head: Annotated[int, Meta(ge=0, le=1 << 53)] = 0
    chunk: Annotated[int, Meta(ge=1 << 12, le=1 << 24)] = CHUNK
    slots: tuple[Slot, ...] = ()

    @property
    def count(self) -> int:
        """How many chunks; an empty file has one."""
        return max(1, -(-self.size // self.chunk))

    def length(self, index: int) -> int:
        """Plain bytes of a chunk."""
        return min(self.chunk, self.size - index * self.chunk)


@dataclass(frozen=True)
class Sealed:
    """A sealed file, its form checked and nothing opened. `raw`: everything before the HMAC; `begin`: where its chunks
    do."""

    path: Path
    header: Header
    raw: bytes
    mac: bytes

    @property
    def begin(self) -> int:
        """Where the first chunk is."""
        return len(self.raw) + MAC

    def place(self, index: int) -> int:
        """Where chunk `index` is in the sealed file."""
        return self.begin + index * (self.header.chunk + TAG)


def is_sealed(path: Path) -> bool:
    """Whether the file begins as sealed files do; False for one that cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read(path: Path) -> Sealed:
    """The header of `path`, not authenticated yet. Raises NotSealed, SealDamaged, SealedCut; OSError."""
    with path.open("rb") as stream:
        start = stream.read(len(START) + LENGTH)
        if not start.startswith(MAGIC):
            raise NotSealed(path=str(path), detail="it does not begin as one")
        version = start[len(MAGIC) : len(START)]
        if version != bytes([VERSION]):
            raise NotSealed(path=str(path), detail=f"version {version.hex()}, this penjing knows {VERSION:02x}")
        length = int.from_bytes(start[len(START) :], "little")
        if length > LONGEST:
            raise SealDamaged(path=str(path), detail=f"{length} bytes, more than {LONGEST}")
        text, mac = stream.read(length), stream.read(MAC)
        size = stream.seek(0, os.SEEK_END)
    header = _decoded(path, text)
    found = Sealed(path, header, start + text, mac)
    wanted = found.begin + header.size + header.count * TAG
    if len(mac) < MAC or size != wanted:
        raise SealedCut(path=str(path), size=size, wanted=wanted)
    return found


def _decoded(path: Path, text: bytes) -> Header:
    try:
        header = msgspec.json.decode(text, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SealDamaged(path=str(path), detail=str(error)) from error
    if len(header.id) != ID or header.head > header.size:
        raise SealDamaged(path=str(path), detail="its id or its sizes cannot be")
    return header


def written(header: Header, file_key: bytes) -> bytes:
    """Everything before the chunks."""
    text = msgspec.json.encode(header)
    raw = START + len(text).to_bytes(LENGTH, "little") + text
    return raw + _mac(raw, file_key, header.id)


def require_authentic(sealed: Sealed, file_key: bytes) -> None:
    """Raises SealDamaged unless who knew `file_key` wrote this header."""
    if not hmac.compare_digest(_mac(sealed.raw, file_key, sealed.header.id), sealed.mac):
        raise SealDamaged(path=str(sealed.path), detail="its HMAC is of another one")


def _mac(raw: bytes, file_key: bytes, id: bytes) -> bytes:
    return hmac.digest(_derived(file_key, id, HEADER_INFO), raw, sha256)


def cipher(header: Header, file_key: bytes) -> AESGCM | ChaCha20Poly1305:
    """What encrypts and decrypts its chunks."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

    key = _derived(file_key, header.id, CHUNKS_INFO)
    return AESGCM(key) if header.cipher == "aes-256-gcm" else ChaCha20Poly1305(key)


def nonce(header: Header, index: int) -> bytes:
    """12 bytes, never the same in one file."""
    return index.to_bytes(11, "big") + _last(header, index)


def bound(header: Header, index: int) -> bytes:
    """What a chunk is bound to besides its content."""
    return START + header.id + index.to_bytes(8, "little") + _last(header, index)


def _last(header: Header, index: int) -> bytes:
    return bytes([index == header.count - 1])


def wrap(file_key: bytes, key: bytes, salt: bytes, id: bytes) -> bytes:
    """The file key for a slot that `key` opens. The wrapping key is used once, so its nonce may be zero."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(_derived(key, salt, SLOT_INFO)).encrypt(bytes(12), file_key, START + id)


def unwrap(sealed: Sealed, slot: Slot, key: bytes) -> bytes:
    """The file key. Raises WrongSealKey."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    box = ChaCha20Poly1305(_derived(key, slot.salt, SLOT_INFO))
    try:
        file_key = box.decrypt(bytes(12), slot.wrapped, START + sealed.header.id)
    except InvalidTag as error:
        raise WrongSealKey(path=str(sealed.path), way=way(slot)) from error
    if len(file_key) != KEY:
        raise SealDamaged(path=str(sealed.path), detail="a slot holds no key")
    return file_key


def way(slot: Slot) -> str:
    """How a slot is opened: `passphrase`, `keyring` or `command`."""
    return str(slot.__struct_config__.tag)


def _derived(key: bytes, salt: bytes, info: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), KEY, salt, info).derive(key)
