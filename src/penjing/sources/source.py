"""The seam of sources: a reference goes in, the list of its files with their digests comes out.

A source is one small class, found by its scheme in the group of entry points `penjing.sources`; the built-in ones are
registered in the same group.

Does not know: any protocol, what the files hold.
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from penjing.sources.client import Client
from penjing.sources.faults import UnknownScheme
from penjing.sources.loop import Loop
from penjing.sources.names import Reference, parse
from penjing.sources.patience import Patience

GROUP = "penjing.sources"
OTHER_SPELLINGS = {"http": "https"}
"""Schemes that another scheme's source serves."""


@dataclass(frozen=True)
class RemoteFile:
    """`path` relative to the model, in POSIX form; `bytes` -1 where the source does not say. `sha256` in hex, empty
    where the source has none; `git` is the SHA-1 that git gives the file (of `blob SIZE\\0` and the content)."""

    path: str
    bytes: int
    url: str
    sha256: str = ""
    git: str = ""


@dataclass(frozen=True)
class Listing:
    """What a reference is at its source. `revision` never changes its content where the source has such names (a
    commit). `licence` is the source's own label, empty where it has none; `gated` says that a licence must be accepted
    first; `page` is where a person reads about it. `headers` go with every request for its files and carry a token:
    they are never shown and never sent to another host. `parameters` counts numbers by type (`{"BF16": 7e9}`) where
    the source tells."""

    reference: Reference
    revision: str
    files: tuple[RemoteFile, ...]
    licence: str = ""
    gated: bool = False
    page: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    parameters: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The last part of the place: the repository or the file."""
        return self.reference.place.rstrip("/").rpartition("/")[2]

    def file(self, path: str) -> RemoteFile | None:
        """The file called so."""
        return next((file for file in self.files if file.path == path), None)


class Source(Protocol):
    """One kind of place that models come from."""

    async def listing(self, reference: Reference, client: Client) -> Listing:
        """Ask for the files of `reference`. Raises NetworkError, ModelNotFound, AccessError, InputError."""
        ...


def source(reference: Reference) -> Source:
    """The source that knows the reference's scheme. Raises UnknownScheme."""
    known = _registered()
    scheme = OTHER_SPELLINGS.get(reference.scheme, reference.scheme)
    if scheme not in known:
        shown = ", ".join(f"{name}:" for name in sorted(known))
        raise UnknownScheme(text=str(reference), scheme=reference.scheme, known=shown)
    made: Source = known[scheme].load()()
    return made


async def list_files(reference: Reference, client: Client) -> Listing:
    """The listing of `reference`, asked with `client`; a short name's is that of the place the catalogue gives it."""
    return await source(reference).listing(reference, client)


def listing(reference: Reference | str, patience: Patience | None = None) -> Listing:
    """As `list_files`, for callers without an event loop. Raises NotAReference too."""
    wanted = parse(reference) if isinstance(reference, str) else reference
    with Loop() as loop, loop.client(patience) as client:
        return loop.run(list_files(wanted, client))


@functools.cache
def _registered() -> Mapping[str, importlib.metadata.EntryPoint]:
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUP)}
