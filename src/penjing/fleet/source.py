"""`hub:NAME[:VERSION]`: the source of `penjing pull` that is a hub. VERSION is a channel, a number, or the beginning of
a digest; without one it is the channel of this device, else `stable`.

The hub is the one this machine has joined, else `[hub] url`. Of one that was not joined the root it shows first is
believed; its models are loaded where a key that signed them is trusted (`penjing trust add`).

Does not know: how pulls are shown.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from penjing.fleet.believed import Believed
from penjing.fleet.client import Hub
from penjing.fleet.device.joined import joined_or_none
from penjing.fleet.faults import NoHub
from penjing.fleet.mirrors import Mirrors
from penjing.fleet.settings import HubSettings, publisher_key
from penjing.fleet.wire import STABLE
from penjing.progress import Report
from penjing.settings import load
from penjing.sources.client import Client
from penjing.sources.names import Reference
from penjing.sources.source import Listing, RemoteFile
from penjing.store import bundle, delta, names
from penjing.store.fetch import Web
from penjing.store.index import Index
from penjing.store.version import Version
from penjing.store.versions import Store


class Where:
    """Which hub, with which key, and what is usual there. Raises NoHub."""

    def __init__(self) -> None:
        known = joined_or_none()
        settings = load(HubSettings, "hub").value
        if known is not None and settings.url in ("", known.url):
            self.url, self.key, self.channel = known.url, known.key, known.orders.channel
            self.mirrors = (*known.mirrors, *known.orders.mirrors)
        elif settings.url:
            self.url, self.key, self.channel, self.mirrors = settings.url, publisher_key(settings), STABLE, ()
        else:
            raise NoHub


class HubSource:
    """See `sources.source.Source` and `store.pull.Keeper`."""

    async def listing(self, reference: Reference, client: Client) -> Listing:
        """Raises NoHub, NothingPublished, ReleaseRefused, NetworkError."""
        return await asyncio.to_thread(_listing, reference)

    def bring(self, reference: Reference, store: Store, report: Report | None) -> tuple[Version, int]:
        """The version, and how many bytes of chunks came."""
        where = Where()
        with Hub(where.url, where.key) as hub:
            index = _index(hub, where, reference)
            last = Web(hub.url, hub.secrets)
            with Mirrors(where.mirrors, last, index.name, lambda fault: None) as fetch:
                version = delta.assemble(store, index, fetch, report, origin=f"hub:{hub.url}")
                return version, fetch.moved


def _listing(reference: Reference) -> Listing:
    where = Where()
    with Hub(where.url, where.key) as hub:
        index = _index(hub, where, reference)
        described = index.described()
        files = tuple(
            RemoteFile(each.path, each.bytes, f"{hub.url}/files/{index.digest}/{each.path}", each.sha256)
            for each in described.files
        )
        return Listing(
            replace(reference, revision=reference.revision or where.channel),
            index.digest,
            files,
            licence=described.licence,
            page=hub.url,
            headers=hub.secrets,
        )


def _index(hub: Hub, where: Where, reference: Reference) -> Index:
    """What the version meant consists of: that of a channel by the signed release, any other if it is signed itself."""
    name = names.name_of(reference.place)
    believed = Believed(hub)
    believed.refresh()
    release = believed.release(name)
    wanted = reference.revision or where.channel
    channel = release.channels.get(wanted)
    if channel is not None:
        return believed.index(name, channel)
    with Web(hub.url, hub.secrets) as place:
        entry = bundle.chosen(bundle.contents(place), [f"{name}@{wanted}"], hub.url)[0]
    named = next((each for each in release.channels.values() if each.manifest == entry.digest), None)
    return believed.index(name, named) if named is not None else believed.signed_index(name, entry.digest)
