"""What was asked for becomes a list of files with their digests: which source, which quantization, which name.

Does not know: how the files come here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from penjing.probe.faults import NoWeights
from penjing.probe.machine import Machine
from penjing.sources import catalogue
from penjing.sources.catalogue import NoSuchShortName
from penjing.sources.client import Client
from penjing.sources.faults import NotAReference
from penjing.sources.loop import Loop
from penjing.sources.names import CATALOGUE, REPOSITORIES, Reference, parse
from penjing.sources.source import Listing, RemoteFile, list_files
from penjing.sources.variants import Variant, pick, variants
from penjing.store import choosing, names
from penjing.store.choosing import Choice
from penjing.store.faults import BadName

WEB = ("http", "https")
HUB = "hub"
Waiting = Callable[[str, float], None]
"""Told `(host, seconds)` before each pause."""


@dataclass(frozen=True)
class Order:
    """What will be fetched. `asked` is what the person wrote, `name` and `tags` what it will be called in the store."""

    asked: Reference
    listing: Listing
    choice: Choice
    name: str
    tags: tuple[str, ...]

    @property
    def variant(self) -> Variant:
        """What was chosen."""
        return self.choice.variant

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """Everything that comes along."""
        return (*self.variant.files, *self.variant.beside)

    @property
    def bytes(self) -> int:
        """To be fetched in all, as far as the source says."""
        return sum(max(file.bytes, 0) for file in self.files)

    @property
    def source(self) -> Reference:
        """Where from, pinned to what it was when it was asked."""
        found = self.listing.reference
        return replace(found, revision=self.listing.revision) if found.scheme not in WEB else found

    @property
    def called(self) -> str:
        """What a person types for it when it is here."""
        return f"{self.name}:{self.tags[0]}" if self.tags else self.name


def offered(asked: Reference, waiting: Waiting | None = None) -> tuple[Listing, Sequence[Variant]]:
    """What is there. Raises NetworkError, ModelNotFound, AccessError."""
    with Loop() as loop:
        found = loop.run(_listed(asked, waiting))
    return found, variants(found)


async def _listed(asked: Reference, waiting: Waiting | None) -> Listing:
    async with Client(waiting=waiting) as client:
        return await list_files(asked, client)


def order(text: str, *, name: str = "", here: Machine | None = None, waiting: Waiting | None = None) -> Order:
    """Ask the source what it has, and choose. `name` is what it shall be called in the store (default: as its source
    calls it); `here` the machine that a quantization is chosen for (default: this one, as it is now).

    Raises NotAReference, NetworkError, ModelNotFound, AccessError, NoSuchQuantization, NoWeights, NothingFits,
    BadName."""
    asked = parse(text)
    wished = names.parse(name) if name else None
    found, known = offered(asked, waiting)
    wanted = "" if found.reference.scheme in WEB else found.reference.pick
    if wanted:
        choice = Choice(pick(found, wanted), "asked", others=len(known) - 1)
    elif known:
        choice = choosing.choose(found, known, here)
    else:
        raise NoWeights(model=text, path=text)
    if wished:
        return Order(asked, found, choice, wished.name, (wished.tag,) if wished.tag else ())
    return Order(asked, found, choice, *called(asked, found, choice.variant))


def called(asked: Reference, found: Listing, variant: Variant) -> tuple[str, tuple[str, ...]]:
    """The name in the store and its tags; of a short name the size is a tag, with the quantization another."""
    quantization = names.suggested(variant.label)
    if asked.scheme == CATALOGUE:
        name, _, size = catalogue.find(asked.place).name.partition(":")
        return names.suggested(name), (size, f"{size}-{quantization}") if size else (quantization,)
    if found.reference.scheme == HUB:  # the hub's own name, and what is stable there
        return names.name_of(found.reference.place), ()
    if found.reference.scheme in WEB or found.reference.scheme == "file":
        stem = Path(variant.files[0].path).stem if variant.kind == "gguf" else found.name
        return names.suggested(stem), ()
    name, tag = of_place(found.reference.place, quantization)
    return name, (tag,)


def stored(text: str) -> str:
    """What `pull` calls the model that `text` names, where that can be told without asking: `NAME:TAG`; "" where not.

    >>> stored("hf:Qwen/Qwen3-4B-GGUF:Q4_K_M"), stored("Qwen3:0.6b:Q8_0"), stored("mine")
    ('qwen/qwen3-4b-gguf:q4_k_m', 'qwen3:0.6b-q8_0', '')
    """
    try:
        asked = parse(text)
        if asked.scheme == CATALOGUE:
            name, _, size = catalogue.find(asked.place).name.partition(":")
            tag = "-".join(part for part in (size, names.suggested(asked.pick) if asked.pick else "") if part)
        elif asked.scheme in REPOSITORIES and not asked.revision:
            name, tag = of_place(asked.place, asked.pick)
            tag = tag if asked.pick else ""
        elif asked.scheme == "hub" and not asked.revision:
            name, tag = names.name_of(asked.place), ""
        else:
            return ""
    except (NotAReference, NoSuchShortName, BadName):
        return ""
    return f"{name}:{tag}" if tag else name


def of_place(place: str, label: str) -> tuple[str, str]:
    """What a model of another place is called in the store: `owner/repo` and its quantization, or its own tag.

    >>> of_place("Qwen/Qwen3-4B-GGUF", "Q4_K_M"), of_place("qwen3:4b", "4b")
    (('qwen/qwen3-4b-gguf', 'q4_k_m'), ('qwen3', '4b'))
    """
    whole, _, tag = place.partition(":")
    owner, slash, rest = whole.rpartition("/")
    owner = owner.rpartition("/")[2]
    name = f"{names.suggested(owner)}/{names.suggested(rest)}" if slash else names.suggested(rest)
    return name, names.suggested(tag or label)
