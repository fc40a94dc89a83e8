"""The seam: what every engine is to the rest of penjing, an address and its capabilities.

An engine may be a worker process on this machine, an office server or a cloud. Whoever talks to it opens HTTP
connections to `address` and speaks OpenAI's dialect; whoever keeps it well calls `start`, `ready`, `stop` and waits
on `ended`. A new kind is a class with these seven members, registered under the entry-point group `penjing.engines`.

Does not know: the gateway, policies, dialects other than OpenAI's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from penjing.progress import Progress as Progress


@dataclass(frozen=True)
class Address:
    """Where an engine listens. `url` is the base before `/v1`; with `socket` the connection goes through that Unix
    socket and the host in `url` is only a name. `headers` go with every request (a cloud's key)."""

    url: str
    socket: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Capabilities:
    """What a loaded model can do here. `context` in tokens per conversation; `slots` is how many run at once."""

    model: str
    context: int = 0
    slots: int = 1
    chat: bool = True
    embeddings: bool = False
    rerank: bool = False
    vision: bool = False
    audio: bool = False
    tools: bool = True
    reasoning: bool = False
    hears_leaving: bool = True
    """Whether it stops working on a whole answer when the connection closes; where not, it is asked for a stream."""
    version: str = ""
    """Changes when its answers to the same question may: another file, other options. "" where nobody can know."""
    schema_gaps: frozenset[str] = frozenset()
    """Keywords of JSON Schema that it passes over without a word: `keyword`, or `type.keyword` for one type only."""
    unheard: frozenset[str] = frozenset()
    """Fields of a request that it passes over without a word: who asks for one is refused by its name."""
    adapters: tuple[tuple[str, float], ...] = ()
    """Its LoRA adapters, in the order of their ids: the name, "" for one that is always on, and the weight."""
    weights: tuple[float, ...] = ()
    """The weight of each adapter in every question under this name; empty where the engine's own choice is meant."""
    metadata: dict[str, object] = field(default_factory=dict)


class Engine(Protocol):
    """One loaded model. Methods are coroutines of one event loop and may be called again after `stop`."""

    @property
    def name(self) -> str:
        """The name clients ask for."""

    @property
    def address(self) -> Address:
        """Where it listens. Raises EngineLoading before it is ready."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do. Raises EngineLoading before it is ready."""

    @property
    def local(self) -> bool:
        """Whether what it is sent stays on hardware of this house. Known before `start`, never a guess to the good:
        an address on the network is not local unless its owner said so."""

    @property
    def progress(self) -> Progress:
        """How far loading is; fraction 1 when ready."""

    async def start(self) -> None:
        """Load the model and return when requests are answered. Raises ModelError, MachineError, EngineStartFailed."""

    async def ready(self) -> bool:
        """Whether it answers now; cheap enough to ask every second."""

    async def ended(self) -> str:
        """Wait until it ends without `stop` having been called; returns how (`killed by SIGKILL`, `exit status 1`).
        An engine whose process is not ours never returns."""

    async def stop(self) -> None:
        """End it and free what it held; a second call does nothing."""
