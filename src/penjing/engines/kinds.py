"""The kinds of engines there are: built-in ones and those other packages bring, found by the same hook.

A package adds one with an entry point in the group `penjing.engines`: a name, and a class that is an Engine.

Does not know: what a kind's constructor wants.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from penjing.engines.engine import Engine
from penjing.errors import UnknownOption

GROUP = "penjing.engines"


def kinds() -> dict[str, EntryPoint]:
    """Name to entry point, in order of names; nothing is imported."""
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)}


def kind(name: str) -> type[Engine]:
    """The class of a kind. Raises UnknownOption for a name nobody registered."""
    known = kinds()
    if name not in known:
        raise UnknownOption(name=name, where="engines", known=", ".join(known))
    found: type[Engine] = known[name].load()
    return found
