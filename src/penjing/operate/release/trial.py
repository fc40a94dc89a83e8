"""One canary in a running server, from its engine's start to its end: it gets its share of the conversations, its
answers are heard, and what the judge says is done, recorded and told.

Does not know: when a canary begins or is taken away by somebody (`trials`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from penjing.engines.engine import Engine
from penjing.engines.llamacpp import LlamaCpp
from penjing.errors import EngineError, PenjingError
from penjing.gateway.arms import CANARY, Sample, Split, Thumb
from penjing.gateway.house import House
from penjing.gateway.policies.audit import AuditOptions
from penjing.operate.release import kept
from penjing.operate.release.asking import asked
from penjing.operate.release.judge import Judge, Verdict
from penjing.operate.release.record import record
from penjing.operate.release.yardstick import of_version
from penjing.operate.upgrade import as_large
from penjing.store import channels
from penjing.store.channels import Decision, NoCanary, Trial
from penjing.store.version import Version
from penjing.store.versions import Store

log = logging.getLogger(__name__)

KEEP = 2.0
"""Seconds between two times that what the judge knows is written down."""
AGAIN = 5.0
"""Seconds until a decision is tried again that the disk did not take."""
SOON, FINISH = 0.05, 60.0
"""Seconds between two looks whether the canary's answers are finished, and how long they may take."""
Tell = Callable[[str, Decision], None]
Make = Callable[[Version, str], Engine]
"""An engine, not started, for a version, which is called the second. May take a moment; raises PenjingError."""


@dataclass(frozen=True)
class Place:
    """Where trials happen. `tell` hears the name of an engine and what was decided about its canary."""

    house: House
    store: Store
    audit: AuditOptions
    tell: Tell


class Running:
    """The `version` that is tried as `trial` says, by an engine that `make` makes, beside the engine `name`."""

    def __init__(self, place: Place, name: str, version: Version, trial: Trial, make: Make) -> None:
        self.name, self.version, self.trial = name, version, trial
        self.judge: Judge | None = None
        """None while another server of the same store judges."""
        self._place = place
        self._make = make
        self._engine: Engine | None = None
        self._to = f"{name}@{version.number}"
        self._held = ExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._deciding: asyncio.Task[None] | None = None
        self._changed = False

    def begin(self) -> None:
        """Start the engine and give it its share, which may take a while; where it does not start, the canary is rolled
        back."""
        self._spawn(self._begin())

    def hear(self, heard: Sample | Thumb) -> None:
        """Take an answer, or an opinion, into account."""
        if self.judge is not None and self._deciding is None:
            self.judge.hear(heard)
            self._changed = True
            self._look()

    async def end(self) -> None:
        """Nothing more goes to the canary; its answers are finished, and its engine leaves."""
        house = self._place.house
        house.arms.splits.pop(self.name, None)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._deciding is not None:
            await asyncio.wait([self._deciding], timeout=AGAIN)
            self._deciding.cancel()  # a disk that takes nothing: the next server decides again
        if self._engine is not None:
            await self._leave(self._engine)
        await self._write()
        self._held.close()

    async def _leave(self, engine: Engine) -> None:
        house = self._place.house
        if self._to in house.engines:
            with suppress(EngineError):  # it does not run, so nothing is to be waited for
                address = engine.address
                until = asyncio.get_running_loop().time() + FINISH
                while house.at_work(address) and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110  # pools tell nobody
                    await asyncio.sleep(SOON)
            house.remove(self._to)
        await engine.stop()

    # what goes on meanwhile

    async def _begin(self) -> None:
        try:
            engine = self._engine = await asyncio.to_thread(self._make, self.version, self._to)
            self._ask_for_as_much(engine)
            await engine.start()
        except (PenjingError, OSError) as error:
            self._fail(str(error))
            return
        self._place.house.add(self._to, engine)
        await self._take_the_bench()
        self._spawn(self._keep())
        self._spawn(self._watch(engine))

    def _ask_for_as_much(self, engine: Engine) -> None:
        """Context and slots as the stable version has them, or it does not start: a smaller one would be no fair
        comparison, and people would meet its bounds."""
        new = getattr(engine, "engine", engine)
        stable = self._place.house.engines[self.name]
        if isinstance(new, LlamaCpp):
            new.options = as_large(new, getattr(stable, "engine", stable))

    async def _take_the_bench(self) -> None:
        """Judge, where nobody else does; in any case the canary gets its share."""
        store = self._place.store
        if self.judge is None and self._held.enter_context(kept.alone(store, self.name_of)):
            judge, _ = await asyncio.to_thread(kept.resumed, store, self.name_of, self.trial)
            self.judge = judge
            self._spawn(self._measure(judge))
        self._split()

    def _split(self) -> None:
        """Send it its share. Once it had all its conversations, the yardstick is waited for without it."""
        judge = self.judge
        enough = judge is not None and judge.waits and judge.conversations[CANARY] >= judge.most
        share = 0.0 if enough else self.trial.share
        self._place.house.arms.splits[self.name] = Split(self._to, share, judged=judge is not None and not enough)

    @property
    def name_of(self) -> str:
        """What the store calls the model; `name` is the engine's."""
        return self.version.name

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(KEEP)
            if self.judge is None and self._deciding is None:
                self._held.close()
                await self._take_the_bench()
            await self._write()

    async def _write(self) -> None:
        if self.judge is None or not self._changed:
            return
        self._changed = False
        standing = self.judge.standing()
        try:
            await asyncio.to_thread(kept.keep, self._place.store, self.name_of, self.trial, standing)
        except OSError as error:  # a full disk: it is known here still
            log.warning("what the canary %s did could not be written down: %s", self.version, error)
            self._changed = True

    async def _watch(self, engine: Engine) -> None:
        """Until the engine gives up."""
        self._fail(await engine.ended())

    async def _measure(self, judge: Judge) -> None:
        if not judge.waits:
            return
        try:
            questions = await asyncio.to_thread(of_version, self.version, self.trial.yardstick)
        except PenjingError as error:  # it was there when the canary was tried first
            log.error("the canary %s is tried without its yardstick: %s", self.version, error)
            questions = ()
        if not self._place.house.engines[self._to].capabilities.chat:
            questions = ()
        house, seed = self._place.house, self.trial.since.timestamp()
        async with aclosing(asked(house, self.name, self._to, questions, seed, judge.asked)) as answers:
            async for stable, canary in answers:
                judge.answered(stable=stable, canary=canary)
                self._changed = True
                self._look()
        judge.measured()
        self._changed = True
        self._look()

    # the end of it

    def _look(self) -> None:
        judge = self.judge
        if judge is None or self._deciding is not None:
            return
        if judge.verdict == "undecided":
            self._split()
            return
        numbers = {**judge.plain(), "refusing": [gate.name for gate in judge.refusing]}
        self._decide(judge.verdict, _why(judge), numbers)

    def _fail(self, why: str) -> None:
        """The engine does not run: whatever the gates say, this cannot stay."""
        if self._deciding is None:
            self._decide("rollback", f"its engine does not run: {why}", {})

    def _decide(self, verdict: Verdict, why: str, numbers: dict[str, object]) -> None:
        if verdict == "rollback":
            self._place.house.arms.splits.pop(self.name, None)
        act = partial(channels.promote, self._place.store, self.version)
        if verdict == "rollback":
            act = partial(channels.rollback, self._place.store, self.name_of)
        self._deciding = asyncio.create_task(self._done(partial(act, by="gates", why=why, numbers=numbers)))

    async def _done(self, act: Callable[..., Decision]) -> None:
        while True:
            try:
                decision = await asyncio.to_thread(act, trial=self.trial)
                break
            except NoCanary:  # a person was quicker
                return
            except (PenjingError, OSError) as error:
                log.error("what became of the canary %s could not be written down: %s", self.version, error)
                await asyncio.sleep(AGAIN)
        try:
            await asyncio.to_thread(record, self.name_of, decision, self._place.audit, self._place.house)
        except PenjingError as error:
            log.error("the decision about %s is not in the audit log: %s", self.version, error)
        self._place.tell(self.name, decision)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("the trial of %s broke", self.version, exc_info=task.exception())


def _why(judge: Judge) -> str:
    worse = [f"{gate.name} ({gate.hits} of {gate.trials}, evidence {gate.evidence:.3g})" for gate in judge.refusing]
    return "worse on " + ", ".join(worse) if worse else "no gate refused it"
