"""Short names of well-known models: what `qwen3:0.6b` is, where it is, what it needs. The entries are data.

Does not know: this machine; what is at the places it names (that is asked when a model is fetched).
"""

from __future__ import annotations

import difflib
import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import msgspec

from penjing.errors import ModelNotFound
from penjing.sources.client import Client
from penjing.sources.faults import NetworkError
from penjing.sources.names import Reference, parse
from penjing.sources.source import Listing, list_files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NEAR = 5
NEAR_ENOUGH = 0.5


class NoSuchShortName(ModelNotFound):
    """Facts: `model`, `near` (comma-separated)."""

    template = "The catalogue has no '{model}'. Near it: {near}"
    hint = "All of them: penjing pull --list. Any other model: penjing pull hf:OWNER/REPO"


@dataclass(frozen=True)
class Entry:
    """One model. `sources` in the order they are asked; `sizes` in bytes of the files by quantization; `languages` as
    ISO 639 codes; `parameters` as its authors count them; `context` in tokens; `architecture` what plans are made of
    (layers, heads ...), by `Model`'s names; `evidence` where these facts were read. Empty where nothing was found."""

    name: str
    title: str
    sources: tuple[str, ...]
    licence: str = ""
    gated: bool = False
    languages: tuple[str, ...] = ()
    parameters: int = 0
    context: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict)
    architecture: Mapping[str, Any] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    vision: bool = False
    remark: str = ""


class Catalogue:
    """The source of short names: that of the place an entry names, and the next of its places where that cannot be
    reached."""

    async def listing(self, reference: Reference, client: Client) -> Listing:
        """Raises NoSuchShortName, and what the entry's last place raises."""
        entry = find(reference.place)
        failed: NetworkError | None = None
        for text in entry.sources:
            place = parse(text)
            wanted = Reference(place.scheme, place.place, place.revision, reference.pick or place.pick)
            try:
                return await list_files(wanted, client)
            except NetworkError as error:
                failed = failed or error
        raise failed or NoSuchShortName(model=reference.place, near="-")


@functools.cache
def entries() -> Mapping[str, Entry]:
    """Every entry by its name, in the catalogue's order."""
    page = (resources.files("penjing") / "data" / "catalogue.toml").read_text(encoding="utf-8")
    found = msgspec.convert(tomllib.loads(page)["model"], type=list[Entry])
    return {entry.name: entry for entry in found}


def find(name: str) -> Entry:
    """The entry that is called `name` or has it among its other names; letter case is the same. Raises
    NoSuchShortName."""
    known = entries()
    wanted = name.lower()
    found = known.get(wanted) or next((entry for entry in known.values() if wanted in entry.aliases), None)
    if found is not None:
        return found
    near = difflib.get_close_matches(wanted, known, NEAR, NEAR_ENOUGH)
    family = wanted.partition(":")[0]
    near = [each for each in known if each.partition(":")[0] == family][:NEAR] or near
    raise NoSuchShortName(model=name, near=", ".join(near) or "-")


def known(name: str) -> bool:
    """Whether the catalogue has it."""
    try:
        find(name)
    except NoSuchShortName:
        return False
    return True


def reference(name: str) -> Reference:
    """The first place of a short name. Raises NoSuchShortName."""
    return parse(find(name).sources[0])
