"""Rounds, one after the other, for as long as the process lives. A hub that is away is asked again, sooner at first.

Does not know: what a round does, what is printed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from penjing.errors import PenjingError
from penjing.fleet.device.joined import joined
from penjing.fleet.device.round import Went, sync
from penjing.sources.faults import NetworkError
from penjing.store.versions import Store

FIRST = 2.0
"""Seconds until a hub that did not answer is asked again; doubled each time, up to the usual pause."""
JITTER = 0.2
"""Part of a pause that is left to chance, so that devices that start together do not ask together."""


def follow(store: Store, hear: Callable[[Went], None], fail: Callable[[PenjingError], None]) -> None:
    """Go on for ever. `hear` is told of each round that changed something, `fail` of each that the network cut short;
    what is wrong in the same way again and again is told once. Raises what `sync` raises otherwise."""
    failures, last, told = 0, "", [""]
    while True:
        try:
            went = sync(store)
        except NetworkError as error:
            failures += 1
            if str(error) != last:
                fail(error)
            last = str(error)
            pause = min(FIRST * 2 ** (failures - 1), joined().orders.every)
        else:
            failures, last, pause = 0, "", went.orders.every
            faults = [str(fault) for _, fault in went.faults]
            if went.changed or faults != told:
                hear(went)
            told = faults
        time.sleep(pause * (1 - JITTER * random.random()))
