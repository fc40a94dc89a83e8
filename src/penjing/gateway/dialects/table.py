"""Which dialect a request is in: by its path, and where several have that path, by its headers and body."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from penjing.gateway.ask import Endpoint
from penjing.gateway.dialects.anthropic.dialect import DIALECT as ANTHROPIC
from penjing.gateway.dialects.dialect import Dialect, Page
from penjing.gateway.dialects.ollama.dialect import DIALECT as OLLAMA
from penjing.gateway.dialects.openai.dialect import DIALECT as OPENAI
from penjing.gateway.dialects.responses.dialect import dialect as responses
from penjing.gateway.dialects.simple.dialect import DIALECT as SIMPLE
from penjing.gateway.dialects.textgen.dialect import DIALECT as TEXTGEN
from penjing.gateway.reply import Incoming

GROUP = "penjing.dialects"
BUILT_IN: tuple[Dialect, ...] = (ANTHROPIC, OLLAMA, TEXTGEN, SIMPLE, OPENAI)
"""The first one that has a path and `speaks` it takes the request; the last, OpenAI, has what no path tells."""
REST = "/*"
Held = TypeVar("Held", Endpoint, Page)


@dataclass(frozen=True)
class Found(Generic[Held]):
    """Something at a path, and the dialect it is of."""

    dialect: Dialect
    held: Held


def dialects() -> tuple[Dialect, ...]:
    """Our own and those that installed packages register under the entry-point group `penjing.dialects`."""
    keeping = (responses(),)  # it keeps answers, so that each gateway has one of its own
    return (*(entry.load() for entry in entry_points(group=GROUP)), *keeping, *BUILT_IN)


class Table:
    """Everything that can be asked, by path."""

    def __init__(self, known: Iterable[Dialect] | None = None) -> None:
        self.dialects = tuple(dialects() if known is None else known)
        self._endpoints: dict[str, list[Found[Endpoint]]] = defaultdict(list)
        self._pages: dict[str, list[Found[Page]]] = defaultdict(list)
        for dialect in self.dialects:
            for endpoint in dialect.endpoints:
                self._endpoints[endpoint.path].append(Found(dialect, endpoint))
            for page in dialect.pages:
                self._pages[page.path].append(Found(dialect, page))

    def every_endpoint(self) -> tuple[Endpoint, ...]:
        """All that ask a model; the first of those that share a path."""
        return tuple(found[0].held for found in self._endpoints.values())

    def every_page(self) -> tuple[Page, ...]:
        """All others."""
        return tuple(each.held for found in self._pages.values() for each in found)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The paths that ask a model."""
        return tuple(self._endpoints)

    @property
    def pages(self) -> tuple[str, ...]:
        """The other paths of dialects."""
        return tuple(self._pages)

    @property
    def sockets(self) -> frozenset[str]:
        """The paths that are also WebSockets."""
        return frozenset(path for dialect in self.dialects for path in dialect.sockets)

    def endpoint(self, incoming: Incoming) -> Endpoint | None:
        """What `incoming` asks a model through, if it does."""
        found = self._endpoints.get(incoming.path)
        if found is None or incoming.method != "POST":
            return None
        return _spoken(found, incoming).held

    def page(self, incoming: Incoming) -> Page | None:
        """The page of a dialect that `incoming` reads, if there is one for its method."""
        method = "GET" if incoming.method == "HEAD" else incoming.method
        found = [each for each in self._at(incoming.path) if each.held.method == method]
        return _spoken(found, incoming).held if found else None

    def allowed(self, path: str) -> tuple[str, ...]:
        """The methods that something at `path` takes."""
        posted = ("POST",) if path in self._endpoints else ()
        return tuple(dict.fromkeys((*posted, *(each.held.method for each in self._at(path)))))

    def dialect(self, incoming: Incoming) -> Dialect:
        """In which dialect an error is told."""
        found = (*self._endpoints.get(incoming.path, ()), *self._at(incoming.path))
        return _spoken(found, incoming).dialect if found else self.dialects[-1]

    def _at(self, path: str) -> list[Found[Page]]:
        whole = self._pages.get(path, [])
        above = path
        while not whole and (above := above.rpartition("/")[0]):
            whole = self._pages.get(above + REST, [])
        return whole


def _spoken(found: Iterable[Found[Held]], incoming: Incoming) -> Found[Held]:
    every = tuple(found)
    return next((each for each in every if each.dialect.speaks(incoming)), every[-1])
