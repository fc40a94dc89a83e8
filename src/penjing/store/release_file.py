"""What a hub says a model's channels are, signed so that the hub itself need not be trusted.

After The Update Framework (theupdateframework.github.io/specification, sections 4.3 to 5.6), with two of its roles:

    root      which keys count, for which role, how many of them; rarely used and kept offline
    release   for one model: a counter that only grows, a day until which it is good, and for every channel the
              version it is at, named by the identity of its manifest

A device keeps a `Known`: the root it believes and what it saw of each model. `check` holds a release against it:

    known = pin(root)                               once, when the device joins
    known = rotate(known, later_roots)              before each check, as far as there are any
    release, known = check(content, known, "qwen3") raises WrongKey, RolledBack, Expired, Swapped
    require(release, "stable", manifest)            raises Swapped; then load, and keep `known`

What is signed: `penjing root v1<newline>` or `penjing release v1<newline>`, then the canonical JSON (RFC 8785) of
`signed`. A document is `{"signed": {...}, "signatures": [{"key": id, "value": base64}, ...]}`.

Does not know: how documents travel, channels' meanings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from penjing.files import write_whole
from penjing.manifest import Manifest, Signature
from penjing.store.trust.canonical import NoCanonicalForm, canonical
from penjing.store.trust.faults import BadDocument, BadKey, Expired, RolledBack, Swapped, WrongKey
from penjing.store.trust.keys import PublicKey, SigningKey, of_text
from penjing.store.trust.sign import identity, signature, signers

LARGEST = 1 << 20
"""Bytes a document may have."""
Positive = Annotated[int, Meta(ge=1, le=1 << 53)]


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ids of the keys that count, and how many of them must have signed."""

    keys: tuple[str, ...]
    threshold: Positive = 1


class Root(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="root"):
    """`keys`: ids and public keys as text. `version` grows by one with every change."""

    version: Positive = 1
    expires: datetime
    keys: dict[str, str]
    root: Role
    release: Role


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """`version`: what people call it. `manifest`: its identity (`trust.sign.identity`). `bytes`: of all its files."""

    version: str
    manifest: str
    bytes: int = 0


class Release(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="release"):
    """Where the channels of the model `name` are. `counter` grows with every release of it, also with one that goes
    back to an older version: that is the publisher's decision, signed."""

    name: str
    counter: Positive
    expires: datetime
    channels: dict[str, Target]


class Document(msgspec.Struct, frozen=True):
    """A body as it came, and who signed it."""

    signed: msgspec.Raw
    signatures: tuple[Signature, ...] = ()


class Seen(msgspec.Struct, frozen=True):
    """Of one model: the highest counter, the digest of what was signed with it, and which manifest each version was."""

    counter: int
    digest: str
    versions: dict[str, str] = {}


class Known(msgspec.Struct, frozen=True):
    """What a device remembers of one hub. It must outlive restarts (`save`): who forgets it can be rolled back."""

    root: Root
    releases: dict[str, Seen] = {}


Body = TypeVar("Body", Root, Release)


def write(body: Root | Release, keys: Iterable[SigningKey]) -> bytes:
    """The document of `body`, signed by each of `keys`. Raises BadDocument."""
    message = _message(body)
    document = {"signed": body, "signatures": [signature(key, message) for key in keys]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def new_root(
    keys: Sequence[PublicKey],
    expires: datetime,
    *,
    release: Sequence[PublicKey] = (),
    threshold: int = 1,
    version: int = 1,
) -> Root:
    """A root whose `keys` count for roots, `threshold` of them; one of `release` (else of `keys`) for releases."""
    signing = tuple(release) or tuple(keys)
    texts = {key.id: str(key) for key in (*keys, *signing)}
    roles = Role(tuple(key.id for key in keys), threshold), Role(tuple(key.id for key in signing))
    return Root(version=version, expires=expires, keys=texts, root=roles[0], release=roles[1])


def pin(content: bytes, now: datetime | None = None) -> Known:
    """Believe a root that came by a way that is trusted, such as with the token a device is enrolled by. Raises
    BadDocument, WrongKey (it must have signed itself), Expired."""
    root, message, signatures = _read(content, Root, "root")
    _require_signed("root", root, root.root, message, signatures)
    _require_fresh("root", root.expires, now)
    return Known(root)


def rotate(known: Known, contents: Iterable[bytes], now: datetime | None = None) -> Known:
    """Follow the chain of later roots, one version at a time: each is signed by enough keys of the one before and of
    its own (TUF 5.3). What is older than the known root is passed over. Where the keys for releases changed, what was
    seen is forgotten, so that a counter which a thief drove up does not lock the device out (5.3.11).

    Raises BadDocument, WrongKey, RolledBack (a version is left out), Expired (the last one)."""
    root, releases = known.root, known.releases
    for content in contents:
        new, message, signatures = _read(content, Root, "root")
        if new.version <= root.version:
            continue
        if new.version != root.version + 1:
            raise RolledBack(name="root", counter=new.version, known=root.version)
        _require_signed("root", root, root.root, message, signatures)
        _require_signed("root", new, new.root, message, signatures)
        if _keys(new, new.release) != _keys(root, root.release):
            releases = {}
        root = new
    _require_fresh("root", root.expires, now)
    return Known(root, releases)


def check(content: bytes, known: Known, name: str, now: datetime | None = None) -> tuple[Release, Known]:
    """The release in `content`, and what to remember once it is followed. The same release again is fine.

    Raises BadDocument, WrongKey (too few good signatures), Swapped (it is another model's, the same counter was given
    to another content, or a version became another manifest), RolledBack (a lower counter), Expired."""
    _require_fresh("root", known.root.expires, now)
    release, message, signatures = _read(content, Release, name)
    _require_signed(name, known.root, known.root.release, message, signatures)
    if release.name != name:
        raise Swapped(name=name, detail=f"it is the release of {release.name}")
    seen, digest = known.releases.get(name, Seen(0, "")), hashlib.sha256(message).hexdigest()
    if release.counter < seen.counter:
        raise RolledBack(name=name, counter=release.counter, known=seen.counter)
    if release.counter == seen.counter and digest != seen.digest:
        raise Swapped(name=name, detail=f"counter {release.counter} was given to another release")
    _require_fresh(name, release.expires, now)
    versions = dict(seen.versions)
    for target in release.channels.values():
        if versions.setdefault(target.version, target.manifest) != target.manifest:
            raise Swapped(name=name, detail=f"version {target.version} was another manifest before")
    return release, Known(known.root, {**known.releases, name: Seen(release.counter, digest, versions)})


def require(release: Release, channel: str, manifest: Manifest) -> None:
    """Raises Swapped unless `manifest` is what `release` says `channel` is at."""
    target = release.channels.get(channel)
    if target is None:
        raise Swapped(name=release.name, detail=f"it has no channel {channel}")
    if identity(manifest) != target.manifest:
        raise Swapped(name=release.name, detail=f"the manifest of version {target.version} is another than was signed")


def save(known: Known, path: Path) -> Path:
    """Write it whole or not at all."""
    return write_whole(path, msgspec.json.format(msgspec.json.encode(known), indent=2) + b"\n")


def load(path: Path) -> Known:
    """What `save` wrote. Raises BadDocument; FileNotFoundError where the device never joined."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Known)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadDocument(name=str(path), detail=str(error)) from error


def _read(content: bytes, kind: type[Body], name: str) -> tuple[Body, bytes, tuple[Signature, ...]]:
    """The body, the bytes that were signed (of the document as it came, so that a newer penjing may say more in it),
    and the signatures."""
    if len(content) > LARGEST:
        raise BadDocument(name=name, detail=f"{len(content)} bytes, more than {LARGEST}")
    try:
        document = msgspec.json.decode(content, type=Document)
        body = msgspec.json.decode(document.signed, type=kind)
        plain = msgspec.json.decode(document.signed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadDocument(name=name, detail=str(error)) from error
    if body.expires.tzinfo is None:
        raise BadDocument(name=name, detail="its day of expiry has no time zone")
    return body, _canonical(plain, kind, name), document.signatures


def _message(body: Root | Release) -> bytes:
    name = body.name if isinstance(body, Release) else "root"
    return _canonical(msgspec.to_builtins(body), type(body), name)


def _canonical(plain: object, kind: type[Root | Release], name: str) -> bytes:
    try:
        return f"penjing {kind.__struct_config__.tag} v1\n".encode() + canonical(plain)
    except NoCanonicalForm as error:
        raise BadDocument(name=name, detail=str(error)) from error


def _require_signed(name: str, root: Root, role: Role, message: bytes, signatures: Sequence[Signature]) -> None:
    found = signers(message, signatures, _keys(root, role).values())
    if len(found) < role.threshold:
        raise WrongKey(name=name, good=len(found), needed=role.threshold)


def _keys(root: Root, role: Role) -> Mapping[str, PublicKey]:
    """The keys of a role by their own ids, so that one key under two names counts once. Raises BadDocument."""
    found = {}
    for id in role.keys:
        try:
            key = of_text(root.keys[id])
        except (KeyError, BadKey) as error:
            raise BadDocument(name="root", detail=f"the key {id} is missing or is none") from error
        if key.id != id:
            raise BadDocument(name="root", detail=f"the key {id} is in truth {key.id}")
        found[id] = key
    return found


def _require_fresh(name: str, expires: datetime, now: datetime | None) -> None:
    if expires <= (now or datetime.now(timezone.utc)):
        raise Expired(name=name, when=f"{expires:%Y-%m-%d %H:%M} UTC")
