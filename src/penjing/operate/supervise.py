"""An engine that comes back: restarts the one it wraps when it ends by itself, and gives up when that is hopeless.

It is itself an engine, so whoever talks to engines needs not know. Its own `ended` returns only when it has given up.

Does not know: what kind of engine it keeps, requests that were running (their connections break; who holds them tells).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from penjing.engines.engine import Address, Capabilities, Engine, Progress
from penjing.errors import EngineLoading, EngineStartFailed, PenjingError

SMALLER = "started again with a smaller context"
CHANGING = "another version takes its place"
CHECKS = 6
"""How often an engine is asked whether it is ready within the time of silence it is allowed."""
State = Literal["stopped", "loading", "ready", "restarting", "resting", "failed"]


class EngineGaveUp(EngineStartFailed):
    """Facts: `model`, `times`, `seconds`, `detail` (how it ended last)."""

    template = "The engine of {model} ended {times} times within {seconds} s and is not started again: {detail}"
    hint = "Look into its log, then start penjing again; a smaller --max-context or --parallel needs less memory."
    code = "engine_gave_up"


@dataclass(frozen=True)
class Patience:
    """Gives up when more than `restarts` are needed within `window` seconds. The first restart comes at once, the
    second after `delay` seconds, each further one after twice as long, at most `longest`. An engine that does not say
    it is ready for `silence` seconds counts as ended."""

    restarts: int = 5
    window: float = 300.0
    delay: float = 0.5
    longest: float = 30.0
    silence: float = 30.0


@dataclass(frozen=True)
class Change:
    """What happened to the engine `name`: its new state, why, and how often it was restarted so far."""

    name: str
    state: State
    detail: str = ""
    restarts: int = 0


class Room(Protocol):
    """Whoever decides which engines are in memory (`residency`)."""

    async def first(self, engine: Supervised) -> bool:
        """Whether `engine`, whose server starts, is loaded at once rather than when it is asked. Raises ModelTooBig."""

    async def make(self, engine: Supervised) -> None:
        """Return when there is room for `engine`. Raises ModelTooBig where there cannot be."""

    def loaded(self, engine: Supervised, seconds: float) -> None:
        """It took so long."""


class Supervised:
    """`engine`, kept alive. `state` and `restarts` tell how it fares; `hear` is called with every Change. With `room`
    it is loaded when somebody asks it, not when it is started."""

    def __init__(
        self, engine: Engine, patience: Patience | None = None, hear: Callable[[Change], None] | None = None
    ) -> None:
        self.engine = engine
        self.restarts = 0
        self.detail = ""
        self.last_outage = 0.0
        self._patience = patience or Patience()
        self._hear = hear
        self._state: State = "stopped"
        self._endings: deque[float] = deque()
        self._task: asyncio.Task[None] | None = None
        self._gave_up: asyncio.Event = asyncio.Event()
        self._resized: asyncio.Event = asyncio.Event()
        self._known: Capabilities | None = None
        self.room: Room | None = None
        self._turning = asyncio.Lock()
        self._waking: asyncio.Task[None] | None = None

    @property
    def starved(self) -> bool:
        """Whether it ended for want of memory the last time, as far as the engine can tell."""
        return bool(getattr(self.engine, "starved", False))

    @property
    def state(self) -> State:
        """`stopped`, `loading`, `ready`, `restarting`, `resting` or `failed`."""
        return self._state

    @property
    def name(self) -> str:
        """The name clients ask for."""
        return self.engine.name

    @property
    def address(self) -> Address:
        """Raises EngineLoading while it is restarted, EngineGaveUp once it is not any more."""
        self._require_ready()
        return self.engine.address

    @property
    def capabilities(self) -> Capabilities:
        """Raises as `address` does; while it rests or wakes up, they are what they were."""
        if self._state in ("resting", "loading") and self._known is not None:
            return self._known
        self._require_ready()
        return self.engine.capabilities

    @property
    def local(self) -> bool:
        """As the engine's."""
        return self.engine.local

    @property
    def progress(self) -> Progress:
        """How far (re)loading is."""
        return Progress(1.0, "resting") if self._state == "resting" else self.engine.progress

    def _require_ready(self) -> None:
        if self._state == "failed":
            raise self._surrender()
        if self._state != "ready":
            raise EngineLoading(model=self.name, percent=round(self.progress.fraction * 100))

    async def start(self) -> None:
        """Start the engine and watch over it. The first start is not repeated: what it raises is for the caller."""
        if self._task is not None:
            return
        if self.room is not None and self._state == "stopped":
            self._become("loading")
            await self._lie_down(self.room)
            return
        await self._load()

    async def _lie_down(self, room: Room) -> None:
        """Be ready to be loaded, or loaded at once where `room` wants it."""
        try:
            self._known = await self._expected()
            at_once = await room.first(self)
        except BaseException as error:
            self._become("failed", str(error))
            raise
        self._become("resting")
        if at_once:
            await self.wake()

    async def _expected(self) -> Capabilities:
        engine: Any = self.engine  # whoever gives a room knows that this kind of engine has a plan
        found: Capabilities = await engine.expected()
        return found

    async def _load(self) -> None:
        self._endings.clear()
        self._gave_up.clear()
        self._become("loading")
        try:
            await self.engine.start()
        except BaseException as error:
            self._become("failed", str(error))
            raise
        self._become("ready")
        self._task = asyncio.create_task(self._watch(), name=f"supervise {self.name}")

    async def ready(self) -> bool:
        """Whether the engine answers when asked; one that rests does, a little later."""
        return self._state == "resting" or (self._state == "ready" and await self.engine.ready())

    async def ended(self) -> str:
        """Wait until restarting is given up; why."""
        await self._gave_up.wait()
        return str(self._surrender())

    def resize(self, context: int) -> bool:
        """Have it started again with conversations of at most `context` tokens, which takes less memory; running
        answers break. False for an engine that cannot be resized. Returns at once; `ready` tells when it is back."""
        resize = getattr(self.engine, "resize", None)
        if resize is None or self._task is None or self._state == "failed":
            return False
        resize(context)
        if self._state == "ready":
            self._become("restarting", SMALLER)
        self._resized.set()
        return True

    async def rest(self, idle: Callable[[], Awaitable[None]] | None = None) -> None:
        """Free what the engine holds until somebody needs it again (`wake`); nothing where it is not ready. Who asks
        from now on waits and wakes it up; what is under way ends before `idle` returns, or breaks without it."""
        async with self._turning:
            if self._state == "ready":
                self._known = self.engine.capabilities
                self._become("resting")
                try:
                    if idle is not None:
                        await idle()
                except BaseException:
                    self._become("ready")
                    raise
                await self._halt()
                self._become("resting")

    async def wake(self) -> None:
        """Start the engine again if it rests, or wait until somebody else's start is done. Raises what that raises; who
        is cancelled leaves it to the others."""
        while self._state != "ready":
            if self._waking is None or self._waking.done():
                self._waking = asyncio.create_task(self._wake(), name=f"wake {self.name}")
                self._waking.add_done_callback(_heard)
            await asyncio.shield(self._waking)
            if self._state != "resting":
                return  # else it was put to rest again before we had a look: for another model, whose turn it was

    async def _wake(self) -> None:
        async with self._turning:
            if self._state != "resting":
                return  # somebody else woke it, or it was exchanged meanwhile
            try:
                if self.room is not None:
                    await self.room.make(self)
                began = time.monotonic()
                await self._load()
                if self.room is not None:
                    self.room.loaded(self, time.monotonic() - began)
            except (PenjingError, OSError) as error:  # memory may be short just now: the next question tries again
                await self.engine.stop()
                self._become("resting", str(error))
                raise

    async def take(self, new: Engine) -> Engine:
        """Keep `new`, which runs, in place of the engine there was; that one still runs, is not watched any more, and
        is the caller's to stop. Who asks from now on is answered by `new`. One that rests takes it as it is."""
        async with self._turning:
            await self._unwatched()
            old, self.engine = self.engine, new
            if self._state == "resting":
                return old  # until it wakes up, what it can do is told as it was
            self._follow(new)
        return old

    async def exchange(self, new: Engine, idle: Callable[[], Awaitable[None]]) -> None:
        """As `take`, where both do not fit into memory at once: who asks from now on waits; when `idle` returns the old
        engine is ended and `new` started. Where that fails the old one is started again, and the error raised."""
        async with self._turning:
            if self._state == "resting":
                self.engine = new
                return
            self._known = self.engine.capabilities
            self._become("resting", CHANGING)
            await self._unwatched()
            try:
                await idle()
            except BaseException:
                self._follow(self.engine)
                raise
            old = self.engine
            await old.stop()
            try:
                await new.start()
            except BaseException:
                await new.stop()
                await old.start()
                self._follow(old)
                raise
            self._follow(new)

    def _follow(self, engine: Engine) -> None:
        """`engine`, which runs, is kept from now on."""
        self.engine = engine
        self._endings.clear()
        self._gave_up.clear()
        self._resized.clear()
        self._become("ready")
        self._task = asyncio.create_task(self._watch(), name=f"supervise {self.name}")

    async def stop(self) -> None:
        """Stop watching and waking, then the engine."""
        waking, self._waking = self._waking, None
        if waking is not None:
            waking.cancel()
            await asyncio.wait([waking])
        await self._halt()

    async def _unwatched(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _halt(self) -> None:
        await self._unwatched()
        await self.engine.stop()
        self._become("stopped")

    async def _watch(self) -> None:
        while True:
            how = await self._ended_or_silent()
            fell = time.monotonic()
            if not await self._restart(how):
                await self.engine.stop()  # which frees what was kept for another start
                self._become("failed", self.detail)
                self._gave_up.set()
                return
            self.last_outage = time.monotonic() - fell
            self._become("ready", f"back after {self.last_outage:.2f} s")

    async def _ended_or_silent(self) -> str:
        """How it ended: by itself, by not answering any more (a worker that hangs never ends), or to be resized."""
        waits = {asyncio.create_task(wait) for wait in (self.engine.ended(), self._silent(), self._resizing())}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for wait in waits:
                wait.cancel()

    async def _silent(self) -> str:
        heard = time.monotonic()
        while time.monotonic() - heard < self._patience.silence:
            await asyncio.sleep(self._patience.silence / CHECKS)
            if await self.engine.ready():
                heard = time.monotonic()
        return f"no answer for {self._patience.silence:.0f} s"

    async def _resizing(self) -> str:
        await self._resized.wait()
        return SMALLER

    async def _restart(self, how: str) -> bool:
        """Try until it runs again; False when patience is at its end."""
        while True:
            self.detail = how
            self._become("restarting", how)
            await self.engine.stop()
            self._resized.clear()
            if how != SMALLER:  # which is no failure
                if not self._note_ending():
                    return False
                await asyncio.sleep(self._delay())
            self.restarts += 1
            try:
                await self.engine.start()
            except (PenjingError, OSError) as error:
                how = str(error)
            except Exception as error:  # a fault of ours must end in `failed`, not in a watch that is silently gone
                how = repr(error)
            else:
                return True

    def _note_ending(self) -> bool:
        now = time.monotonic()
        self._endings.append(now)
        while self._endings and now - self._endings[0] > self._patience.window:
            self._endings.popleft()
        return len(self._endings) <= self._patience.restarts

    def _delay(self) -> float:
        """Seconds before the next start: 0, delay, 2 delay, 4 delay ..."""
        earlier = len(self._endings) - 1
        return min(self._patience.delay * 2 ** (earlier - 1), self._patience.longest) if earlier else 0.0

    def _surrender(self) -> EngineGaveUp:
        return EngineGaveUp(
            model=self.name, times=len(self._endings), seconds=round(self._patience.window), detail=self.detail
        )

    def _become(self, state: State, detail: str = "") -> None:
        self._state = state
        if self._hear is not None:
            self._hear(Change(self.name, state, detail, self.restarts))


def _heard(task: asyncio.Task[None]) -> None:
    """What it raised is told to who waits; where everybody left, to nobody."""
    if not task.cancelled():
        task.exception()
