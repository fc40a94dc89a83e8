"""A version goes: chunks that versions at rest still need are packed first, then it leaves by one rename.

Does not know: why.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from penjing.store import places, resting, shelf, staging
from penjing.store.faults import InUse, NotInStore
from penjing.store.lease import alone, mapped
from penjing.store.version import Version

if TYPE_CHECKING:
    from penjing.store.versions import Store


def remove(store: Store, found: Version) -> Version:
    """See `Store.remove`; the caller holds the store's lock."""
    if not found.folder.is_dir():
        raise NotInStore(model=str(found))
    with ExitStack() as stack:
        require_idle(found, stack)
        needed = resting.only_in(store, [found], rests=False)
        resting.pack(store, needed, places.plain([found]), forgiving=True)
        home = found.folder.parent
        old = shelf.read(home)
        tags = {tag: number for tag, number in old.tags.items() if number != found.number}
        shelf.save(shelf.Shelf(max(old.next, found.number + 1), tags), home)
        staging.retire(store.staging, found.folder)
    return found


def require_idle(found: Version, stack: ExitStack) -> None:
    """Nobody uses its files, and until `stack` is closed nobody begins to. Raises InUse."""
    if using := mapped(found.files):
        everybody = sorted({pid for each in using.values() for pid in each})
        raise InUse(model=str(found), by=", ".join(map(str, everybody)))
    for path in found.files:
        if not stack.enter_context(alone(path)):
            raise InUse(model=str(found), by="?")
