"""One round of a device: hear what is to be done, look what is released, fetch what is missing, say how it went.

What leaves this machine: its name and platform when it joins; then with each round which models of the hub it has in
which version, whether it is fetching, the last fault in words, how many bytes it fetched, and penjing's version. No
prompts, no answers, no counts of them, no other model.

Does not know: how often rounds are, what is printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from fnmatch import fnmatchcase

import msgspec

import penjing
from penjing.errors import DiskFull, PenjingError
from penjing.fleet.believed import Believed
from penjing.fleet.client import Hub
from penjing.fleet.device import joined as kept
from penjing.fleet.device.joined import Fared, Joined
from penjing.fleet.faults import NothingPublished
from penjing.fleet.mirrors import Mirrors
from penjing.fleet.wire import Orders, State
from penjing.lock import held
from penjing.progress import Report
from penjing.sources.faults import NetworkError
from penjing.store import channels, delta
from penjing.store.channels import AlreadyStable, Pinned
from penjing.store.fetch import Web
from penjing.store.names import STABLE, name_of
from penjing.store.release_file import Target
from penjing.store.version import Version
from penjing.store.versions import Store


@dataclass
class Went:
    """How a round went. `changed`: versions that are stable since; `moved`: bytes of chunks that came; `faults`: by
    model, of those that failed ("" for a mirror that was left, and went well without)."""

    orders: Orders
    changed: list[Version] = field(default_factory=list)
    moved: int = 0
    faults: list[tuple[str, PenjingError]] = field(default_factory=list)

    @property
    def failed(self) -> PenjingError | None:
        """The first fault that kept a model from its release."""
        return next((fault for model, fault in self.faults if model), None)


def sync(store: Store, report: Report | None = None) -> Went:
    """One round. Raises NotJoined, HubKeyRefused, NetworkError where the hub does not answer; what is wrong with one
    model keeps no other from its release, and is in what comes back."""
    kept.joined()
    with held(kept.folder() / "lock"):
        known = kept.joined()
        with Hub(known.url, known.key) as hub:
            went = Round(store, hub, known, report).run()
    return went


class Round:
    """The work of `sync`, under the device's lock."""

    def __init__(self, store: Store, hub: Hub, known: Joined, report: Report | None) -> None:
        self._store, self._hub, self._joined, self._report = store, hub, known, report
        self._before = kept.fared().state
        self._believed = Believed(hub)
        self._went = Went(known.orders)

    def run(self) -> Went:
        """See `sync`."""
        self._went.orders = orders = self._hub.state(self._state(self._before.doing, self._before))
        self._believed.refresh()
        trusted = kept.trust(self._joined.trusted, self._believed.keys)
        self._joined = msgspec.structs.replace(self._joined, orders=orders, trusted=trusted)
        kept.save(self._joined)
        for each in self._hub.released():
            if self._ours(each.name):
                self._follow(each.name)
        state = self._said()
        kept.save(Fared(state, datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")))
        self._hub.state(state)
        return self._went

    def _follow(self, name: str) -> None:
        try:
            target = self._believed.release(name_of(name)).channels.get(self._went.orders.channel)
            if target is None:
                raise NothingPublished(hub=self._hub.url, model=f"{name}:{self._went.orders.channel}")
            if self._stable(name) != target.manifest:
                self._take(name, target)
        except NetworkError:
            raise
        except PenjingError as error:
            self._went.faults.append((name, error))

    def _take(self, name: str, target: Target) -> None:
        if channels.read(self._store, name).pinned:
            raise Pinned(model=name, version=str(channels.stable(self._store, name)))
        version = self._here(name, target)
        if version is None:
            self._hub.state(self._state("fetching"))
            version = self._fetched(name, target)
        try:
            channels.promote(self._store, version, by="hub", why=self._hub.url)
        except AlreadyStable:  # another command did it meanwhile
            return
        self._went.changed.append(version)

    def _fetched(self, name: str, target: Target) -> Version:
        """Where the disk is full old versions rest, and it is tried once more if that freed something."""
        try:
            return self._bring(name, target)
        except DiskFull:
            if self._store.gc(report=self._report).freed <= 0:
                raise
        return self._bring(name, target)

    def _bring(self, name: str, target: Target) -> Version:
        index = self._believed.index(name, target)
        places = (*self._joined.mirrors, *self._went.orders.mirrors)
        last = Web(self._hub.url, self._hub.secrets)
        with Mirrors(places, last, index.name, lambda fault: self._went.faults.append(("", fault))) as fetch:
            try:
                return delta.assemble(self._store, index, fetch, self._report, origin=f"hub:{self._hub.url}")
            finally:
                self._went.moved += fetch.moved

    def _here(self, name: str, target: Target) -> Version | None:
        return next((each for each in self._store.versions(name) if each.digest == target.manifest), None)

    def _stable(self, name: str) -> str:
        """The digest of what is stable here; "" where nobody said."""
        number = self._store.tags(name).get(STABLE)
        return next((each.digest for each in self._store.versions(name) if each.number == number), "")

    def _said(self) -> State:
        """What is said in the end. A fault that did no harm is told until something is fetched again."""
        fault = next((fault for _, fault in sorted(self._went.faults, key=lambda one: not one[0])), None)
        if fault is not None:
            return replace(
                self._state("failed" if self._went.failed else "resting"),
                code=fault.code,
                detail=fault.message("en"),
            )
        if self._went.changed or self._before.doing == "failed":
            return self._state("resting")
        return self._state("resting", self._before)

    def _state(self, doing: str, like: State | None = None) -> State:
        names = dict.fromkeys(each.name for each in self._store.versions())
        ours = [name for name in names if self._ours(name)]
        models = {name: digest for name in ours if (digest := self._stable(name))}
        moved = self._before.fetched + self._went.moved
        return replace(like or State(), doing=doing, models=models, fetched=moved, penjing=penjing.__version__)

    def _ours(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern.lower()) for pattern in self._went.orders.models)
