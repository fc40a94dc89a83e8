"""Signatures of manifests. What is signed is exactly

    penjing manifest v1<newline>  +  the canonical JSON (RFC 8785) of the manifest, without its `signatures`

so that a signature says nothing about any other kind of document, and adding one invalidates no other. Before that the
name is put in lower case and `files` in the order of their paths, as the store does; members that have their default
value are left out, as `manifest.save` does.

Does not know: who is trusted.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

import msgspec

from penjing.manifest import Manifest, Signature
from penjing.store.trust.canonical import NoCanonicalForm, canonical
from penjing.store.trust.faults import NotSignable
from penjing.store.trust.keys import PublicKey, SigningKey

HEAD = b"penjing manifest v1\n"


def message(manifest: Manifest) -> bytes:
    """The bytes that are signed. Raises NotSignable."""
    files = tuple(sorted(manifest.files, key=lambda each: each.path))
    bare = msgspec.structs.replace(manifest, name=manifest.name.lower(), files=files, signatures=())
    try:
        return HEAD + canonical(msgspec.to_builtins(bare))
    except NoCanonicalForm as error:
        raise NotSignable(what=manifest.name, detail=str(error)) from error


def identity(manifest: Manifest) -> str:
    """SHA-256 of the signed bytes in hex: the same before and after it is signed, so releases name versions by it."""
    return hashlib.sha256(message(manifest)).hexdigest()


def signed(manifest: Manifest, key: SigningKey) -> Manifest:
    """`manifest` with a signature of `key`, in place of one it had. Raises NotSignable."""
    others = tuple(each for each in manifest.signatures if each.key != key.public.id)
    return msgspec.structs.replace(manifest, signatures=(*others, signature(key, message(manifest))))


def signature(key: SigningKey, content: bytes) -> Signature:
    """`key`'s signature over `content`."""
    return Signature(key.public.id, base64.b64encode(key.sign(content)).decode("ascii"))


def good(each: Signature, key: PublicKey, content: bytes) -> bool:
    """Whether `each` is `key`'s over `content`."""
    try:
        raw = base64.b64decode(each.value, validate=True)
    except ValueError:
        return False
    return each.key == key.id and key.good(raw, content)


def signers(content: bytes, signatures: Iterable[Signature], keys: Iterable[PublicKey]) -> set[str]:
    """The ids of those of `keys` that signed `content`; each counts once."""
    known = {key.id: key for key in keys}
    return {each.key for each in signatures if each.key in known and good(each, known[each.key], content)}
