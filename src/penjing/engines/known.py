"""What is known of an engine that loads: its name at once, where it listens and what it can do once it is ready.

Does not know: how it is started.
"""

from __future__ import annotations

from typing import NoReturn

from penjing.engines.engine import Address, Capabilities, Progress
from penjing.errors import EngineLoading


class Known:
    """The part of an engine that is asked; who starts it sets `_address` and `_capabilities`, and forgets them when it
    ends."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._address: Address | None = None
        self._capabilities: Capabilities | None = None
        self._progress = Progress(0.0, "reading")

    @property
    def name(self) -> str:
        """The name clients ask for."""
        return self._name

    @property
    def address(self) -> Address:
        """Where it listens. Raises EngineLoading before it is ready."""
        return self._address or self._not_yet()

    @property
    def capabilities(self) -> Capabilities:
        """What the loaded model can do. Raises EngineLoading before it is ready."""
        return self._capabilities or self._not_yet()

    @property
    def local(self) -> bool:
        """It computes on this machine."""
        return True

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._progress

    def _not_yet(self) -> NoReturn:
        raise EngineLoading(model=self._name, percent=round(self.progress.fraction * 100))
