"""A wait without end, for engines whose process cannot end by itself."""

from __future__ import annotations

import asyncio
from typing import NoReturn


async def never() -> NoReturn:
    """Wait until cancelled."""
    while True:
        await asyncio.get_running_loop().create_future()
