"""An event loop of one's own, for plain functions that need the network.

Does not know: what runs in it. It cannot be used within another running loop: call from a thread there
(`asyncio.to_thread`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from penjing.sources.client import Client
    from penjing.sources.patience import Patience

T = TypeVar("T")


class Loop:
    """Runs one coroutine after the other; connections stay open in between. A context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Loop:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns. Ctrl-C cancels it and lets it clean up before KeyboardInterrupt goes on."""
        task = self._loop.create_task(work)
        try:
            return self._loop.run_until_complete(task)
        except BaseException:
            if not task.done():
                task.cancel()
                self._loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
            raise

    @contextmanager
    def client(self, patience: Patience | None = None) -> Iterator[Client]:
        """A `Client` that is open in the block."""
        from penjing.sources.client import Client

        client = self.run(Client(patience).__aenter__())
        try:
            yield client
        finally:
            self.run(client.__aexit__())

    def close(self) -> None:
        """End what still runs. May be called again."""
        if self._loop.is_closed():
            return
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
