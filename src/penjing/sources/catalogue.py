"""Short names of well-known models: what `qwen3:0.6b` is, where it is, what it needs. The entries are data.

Does not know: this machine; what is at the places it names (that is asked when a model is fetched).
"""

from __future__ import annotations

import asyncio
import difflib
import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources

import msgspec

from penjing.errors import ModelNotFound
from penjing.sources.client import Client
from penjing.sources.faults import LoginNeeded, NetworkError, NoSuchRepository
from penjing.sources.names import Reference, parse
from penjing.sources.source import Listing, list_files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

USUAL_BITS = 4.85
"""Bits a weight of llama.cpp's Q4_K_M."""
MEMORY_SHARE, MEMORY_MORE = 1.1, 350_000_000
"""Memory beside the weights at 4096 tokens, as a share and in bytes: within a quarter of what `plan.memory` reckons for
eleven models of 360 million to 32 billion parameters with grouped attention (Llama 2, without, needs a third more)."""
HEAD_START = 6.0
"""Seconds that one place is waited for before the next is asked too."""
ELSEWHERE = (NetworkError, NoSuchRepository, LoginNeeded)
"""What lets another place be asked."""
NEAR = 5
NEAR_ENOUGH = 0.5


class NoSuchShortName(ModelNotFound):
    """Facts: `model`, `near` (comma-separated)."""

    template = "The catalogue has no '{model}'. Near it: {near}"
    hint = "All of them: penjing pull --list. Any other model: penjing pull hf:OWNER/REPO"


@dataclass(frozen=True)
class Entry:
    """One model. `sources` in the order they are asked; `sizes` in bytes of the files by quantization; `languages` as
    ISO 639-1 codes, `total` how many there are where not all are named; `parameters` as its authors count them, each
    of so many `bits` in what is fetched; `context` in tokens; `evidence` where these facts were read. Empty where
    nothing was found."""

    name: str
    title: str
    sources: tuple[str, ...]
    licence: str = ""
    languages: tuple[str, ...] = ()
    total: int = 0
    parameters: int = 0
    bits: float = USUAL_BITS
    context: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    vision: bool = False
    remark: str = ""

    @property
    def size(self) -> int:
        """Bytes of the smallest file with 4 bits a weight or more, or what it would have; 0 where nobody knows."""
        listed = [size for label, size in self.sizes.items() if "Q4" in label or "FP4" in label]
        return min(listed or self.sizes.values(), default=round(self.parameters * self.bits / 8))

    @property
    def memory(self) -> int:
        """Bytes it takes with 4096 tokens of context, about (`penjing plan` reckons it from the model's header)."""
        return round(self.size * MEMORY_SHARE) + MEMORY_MORE if self.size else 0


class Catalogue:
    """The source of short names: that of the place an entry names, and the next of its places where that does not
    answer soon, or no longer has the model."""

    async def listing(self, reference: Reference, client: Client) -> Listing:
        """Raises NoSuchShortName, and what the entry's first place raises."""
        entry = find(reference.place)
        left = [_place(text, reference.pick) for text in entry.sources]
        asked: list[asyncio.Task[Listing]] = []
        try:
            while left or not all(task.done() for task in asked):
                if left:
                    asked.append(asyncio.ensure_future(list_files(left.pop(0), client)))
                running = [task for task in asked if not task.done()]
                done, _ = await asyncio.wait(
                    running, timeout=HEAD_START if left else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    if not isinstance(task.exception(), ELSEWHERE):
                        return task.result()
            return asked[0].result()
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)


def _place(text: str, pick: str) -> Reference:
    place = parse(text)
    return Reference(place.scheme, place.place, place.revision, pick or place.pick)


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
