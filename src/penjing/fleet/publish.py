"""From this machine's store to a hub: sign, send the chunks it lacks, and say in a signed release where a channel is.

What signs is a key of this machine (`penjing trust init`); the hub never has one.

Does not know: HTTP, who may publish.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone

import msgspec

from penjing import manifest as manifests
from penjing.fleet.believed import Believed
from penjing.fleet.client import Hub
from penjing.fleet.faults import NoRoot, NothingPublished
from penjing.progress import Report, Transfer
from penjing.store import delta, index, places, release_file
from penjing.store.faults import LostChunks
from penjing.store.index import Chunk
from penjing.store.names import tag_of
from penjing.store.places import Reader
from penjing.store.release_file import Release, Target
from penjing.store.trust import keys, sign
from penjing.store.trust.faults import RolledBack
from penjing.store.trust.keys import SigningKey
from penjing.store.version import Version
from penjing.store.versions import Store

ROOT_DAYS = 3650
"""A root says whose releases count; it is rarely touched."""
RELEASE_DAYS = 90.0


class Published(msgspec.Struct, frozen=True):
    """What was done: `bytes` of chunks sent, of `total` in the version."""

    name: str
    version: str
    digest: str
    channel: str
    counter: int
    bytes: int
    total: int


def publish(
    store: Store,
    version: Version,
    hub: Hub,
    key: SigningKey,
    channel: str = "stable",
    days: float = RELEASE_DAYS,
    report: Report | None = None,
) -> Published:
    """Let `channel` of the hub be at `version`, until somebody publishes again or `days` are over. Raises NetworkError,
    HubRefused, LostChunks, NotSignable, ReleaseRefused."""
    channel = tag_of(channel)
    ensure_root(hub, key)
    version = _signed(store, version, key)
    sent = _send(store, version, hub, report)
    described = index.encode(delta.index(version))
    hub.put_version(version.digest, described)
    target = Target(str(version.number), version.digest, version.bytes)
    counter = _release(hub, version.name, key, days, {channel: target})
    return Published(version.name, str(version), version.digest, channel, counter, sent, version.bytes)


def ensure_root(hub: Hub, key: SigningKey) -> None:
    """Where the hub has no root, one that says that releases signed by `key` count."""
    try:
        hub.root(1)
    except NoRoot:
        root = release_file.new_root([key.public], _after(ROOT_DAYS))
        hub.put_root(release_file.write(root, [key]))


def renew(hub: Hub, name: str, key: SigningKey, days: float = RELEASE_DAYS) -> int:
    """The same release of `name` again, good for `days` from now; its counter."""
    return _release(hub, name, key, days, {})


def own_key(name: str = keys.OWN, passphrase: str = "") -> SigningKey:
    """The key of this machine; the first time it is made. Raises KeyLocked, NoSuchKey."""
    if name == keys.OWN and name not in keys.names():
        return keys.make(name, passphrase)
    return keys.load(name, passphrase)


def _signed(store: Store, version: Version, key: SigningKey) -> Version:
    """The version with a signature of `key` in its manifest. Its identity stays."""
    if any(each.key == key.public.id for each in version.manifest.signatures):
        return version
    manifest = sign.signed(version.manifest, key)
    with store.writing():
        manifests.save(manifest, version.folder)
    return store.find(str(version))


def _send(store: Store, version: Version, hub: Hub, report: Report | None) -> int:
    """Send the chunks that the hub lacks; their bytes."""
    every = {chunk.name: chunk for chunk in version.cuts().chunks()}
    lacking = hub.missing(every)
    left = [chunk for name, chunk in every.items() if name in lacking]
    total = sum(chunk.bytes for chunk in left)
    done = 0

    def sent(size: int) -> None:
        nonlocal done
        done += size
        if report is not None:
            report(Transfer(done / total, "sending", done, total))

    hub.put_chunks(_contents(store, version, left), sent)
    return done


def _contents(store: Store, version: Version, chunks: Sequence[Chunk]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each."""
    where = places.everywhere(store)
    with Reader() as reader:
        for chunk in chunks:
            content = reader.whole(chunk, where[chunk.digest]) if chunk.digest in where else None
            if content is None:
                raise LostChunks(model=str(version), count=1)
            yield chunk.name, content


def _release(hub: Hub, name: str, key: SigningKey, days: float, changes: dict[str, Target]) -> int:
    """Sign what the hub has, with `changes`. What it has is checked first as a device would: nothing that somebody else
    put there gets this signature. A hub that came back from an old copy, or empty, gets only `changes`, with a counter
    that devices follow."""
    believed = Believed(hub)
    believed.refresh()
    channels: dict[str, Target] = {}
    try:
        channels = believed.release(name).channels
    except (NothingPublished, RolledBack):
        if not changes:
            raise
    counter = believed.counter(name) + 1
    release = Release(name=name, counter=counter, expires=_after(days), channels={**channels, **changes})
    document = release_file.write(release, [key])
    hub.put_release(name, document)
    return believed.remember(name, document).counter


def _after(days: float) -> datetime:
    return (datetime.now(timezone.utc) + timedelta(days=days)).replace(microsecond=0)
