"""What this machine believes of a hub: its root, and what was seen of each model's release, kept over restarts.

The root comes with a token (`join`), or is the one that the hub showed first; from then on only keys that it names can
say more. A hub is thereby a place that keeps bytes: it cannot make a release, go back to an old one, or give other
bytes under the same version.

Does not know: what is done with a release, who asks.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from penjing.files import home
from penjing.fleet.client import Hub
from penjing.fleet.faults import OtherHub
from penjing.fleet.token import Token
from penjing.lock import held
from penjing.store import index as indexes
from penjing.store import release_file
from penjing.store.index import Index
from penjing.store.names import name_of
from penjing.store.release_file import Known, Release, Target
from penjing.store.trust.faults import Swapped, WrongKey
from penjing.store.trust.keys import PublicKey, of_text
from penjing.store.trust.sign import message, signers


def path_of(url: str) -> Path:
    """Where it is kept what is believed of the hub at `url`."""
    return home() / "hubs" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"


class Believed:
    """Of `hub`. Methods raise NetworkError, ReleaseRefused, NoRoot."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._path = path_of(hub.url)

    @property
    def keys(self) -> dict[str, PublicKey]:
        """Whose releases count, by id."""
        root = self._load().root
        return {id: of_text(root.keys[id]) for id in root.release.keys}

    def pin(self, token: Token) -> None:
        """Believe the root that `token` names. Raises OtherHub."""
        first = self._hub.root(1)
        if hashlib.sha256(first).digest() != token.root:
            raise OtherHub(hub=self._hub.url)
        known = release_file.rotate(release_file.pin(first), self._hub.later_roots(1))
        with held(self._lock()):
            before = self._loaded()
            if before is None or before.root != known.root:  # else what was seen stays: it must not be forgotten
                release_file.save(known, self._path)

    def refresh(self) -> None:
        """Follow what became of the root. The first one that is seen is believed."""
        with held(self._lock()):
            known = self._loaded() or release_file.pin(self._hub.root(1))
            release_file.save(release_file.rotate(known, self._hub.later_roots(known.root.version)), self._path)

    def release(self, name: str) -> Release:
        """The release of `name`, which is remembered. Raises NothingPublished."""
        return self.remember(name, self._hub.release(name))

    def remember(self, name: str, content: bytes) -> Release:
        """As `release`, of a document that is here."""
        with held(self._lock()):
            release, known = release_file.check(content, self._load(), name)
            release_file.save(known, self._path)
        return release

    def counter(self, name: str) -> int:
        """The highest counter that was seen of `name`; 0 where none was."""
        seen = self._load().releases.get(name)
        return seen.counter if seen is not None else 0

    def index(self, name: str, target: Target) -> Index:
        """What the version that a release names consists of. Raises BadIndex."""
        found = self._index(name, target.manifest)
        if found.digest != target.manifest:
            raise Swapped(name=name, detail=f"the manifest of version {target.version} is another than was signed")
        return found

    def signed_index(self, name: str, digest: str) -> Index:
        """As `index`, of a version that no release names now: it must be signed itself. Raises WrongKey."""
        found = self._index(name, digest)
        described = found.described()
        if found.digest != digest or not signers(message(described), described.signatures, self.keys.values()):
            raise WrongKey(name=name, good=0, needed=1)
        return found

    def _index(self, name: str, digest: str) -> Index:
        found = indexes.decode(self._hub.version(digest), f"{self._hub.url}/versions/{digest}")
        if name_of(found.name) != name:
            raise Swapped(name=name, detail=f"it is a version of {found.name}")
        return found

    def _loaded(self) -> Known | None:
        try:
            return release_file.load(self._path)
        except FileNotFoundError:
            return None

    def _load(self) -> Known:
        known = self._loaded()
        assert known is not None, "`refresh` or `pin` comes first"
        return known

    def _lock(self) -> Path:
        return self._path.with_suffix(".lock")
