"""From engines that are not started to an outcome: starts them, has them asked, shows how far it is, ends them.

    Ctrl-C while they start    nothing was measured yet, all ends
    Ctrl-C while they are asked   what was measured until then comes back; again, and all ends

Does not know: how the outcome is shown.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import penjing
from penjing.cli.model import Opened, tell_unheeded
from penjing.cli.progress import shown
from penjing.operate.measure.outcome import Host, Outcome, compare, result
from penjing.operate.measure.rounds import Rounds
from penjing.operate.measure.subject import Subject, opened
from penjing.operate.supervise import Supervised

if TYPE_CHECKING:
    from penjing.operate.measure.wanted import Wanted


async def measured(each: Sequence[Opened], wanted: Wanted, *, cold: bool) -> Outcome:
    """The outcome. Raises what starting an engine raises, NotMeasurable, TooLong; KeyboardInterrupt when it was ended
    before anything was measured."""
    stop, started = asyncio.Event(), asyncio.Event()
    catch_signals(stop, started)
    subjects: list[Subject] = []
    try:
        with shown() as report:
            for name, engine in zip(names(each), each, strict=True):
                subjects.append(await _ready(engine, name, cold=cold, seed=wanted.seed))
            loads = [wanted.loads(one.name, one.target.context) for one in subjects]
            rounds = Rounds(subjects, min(loads, key=len), wanted.rounds, report)
            started.set()
            await rounds.run(stop)
        results = [await result(*pair, wanted.goal()) for pair in zip(subjects, rounds.rows, strict=True)]
    except asyncio.CancelledError as error:
        raise KeyboardInterrupt from error
    finally:
        for one in subjects:
            await one.close()
    if not any(one.lines for one in results):
        raise KeyboardInterrupt
    compared = compare(*results) if len(results) == 2 else []
    return Outcome(now(), host(), results, compared, rounds.stopped)


def catch_signals(stop: asyncio.Event, started: asyncio.Event) -> None:
    """The first Ctrl-C after `started` sets `stop`; any other one, and SIGTERM, cancels the task that called this."""
    main, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert main is not None

    def interrupted() -> None:
        if stop.is_set() or not started.is_set():
            main.cancel()
        stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupted)
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, main.cancel)  # the engines must not outlive us


async def _ready(one: Opened, name: str, *, cold: bool, seed: int) -> Subject:
    # Not watched over: an engine that ends while it is measured is an error of the figures, not to be hidden.
    engine = one.engine.engine if isinstance(one.engine, Supervised) else one.engine
    subject = await opened(engine, name, one.file, cold=cold, seed=seed)
    tell_unheeded(engine)
    return subject


def names(each: Sequence[Opened]) -> list[str]:
    """What they are called: as they were typed, numbered where that is the same."""
    typed = [one.chosen.name for one in each]
    return typed if len(set(typed)) == len(typed) else [f"{name} ({number})" for number, name in enumerate(typed, 1)]


def now() -> str:
    """ISO 8601, UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def host() -> Host:
    """This machine."""
    from penjing.probe.machine import read

    here = read(gpus=False)
    return Host(here.system, here.cpu, here.physical_cores, here.memory_total, penjing.__version__)
