"""What a policy or a page may use of the gateway: its engines, figures and the one way out to an engine.

Everything that is sent to an engine passes `open`, so that what must stay on this hardware is refused in one place.

Does not know: dialects, policies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from penjing.engines.engine import Address, Engine
from penjing.errors import AccessError, ModelNotFound, PenjingError
from penjing.gateway.answer import Answer
from penjing.gateway.answers import Answers
from penjing.gateway.arms import Arms
from penjing.gateway.dialects.openai import errors
from penjing.gateway.grant import OPEN, Grant
from penjing.gateway.observe import Observed
from penjing.gateway.options import GatewayOptions
from penjing.gateway.pulse import Pulse
from penjing.gateway.recent import Recent
from penjing.gateway.reply import Incoming
from penjing.gateway.rest import Rests
from penjing.gateway.silence import AWAY, HERE
from penjing.gateway.upstream import Pool

if TYPE_CHECKING:
    from penjing.gateway.ask import Ask

WAITING = 32
"""Requests an engine may hold beyond its slots; the rest wait here, where a client that leaves costs nothing."""
UNTOLD_SLOTS = 1024
"""For an engine that does not say how many requests it works on at once: a remote one, which keeps its own line."""


class NoSuchModel(ModelNotFound):
    """Facts: `model`, `known`."""

    template = "There is no model '{model}' on this server."
    hint = "Models here: {known}"


class MustStay(AccessError):
    """A request that is `local only` was about to leave. Facts: `model`."""

    template = "This request is 'local only', and {model} is not on hardware of this house."
    hint = "Ask for a model that runs here."
    code = "local_only"
    kind = "permission_error"
    status = 403


class House:
    """`failed`: engines that could not be started, and why. `admit` and `spent` (this month, US dollars, by the name of
    a key) are replaced by the policy that knows keys, `waiting` (requests in line before an engine) by the one that
    lets them wait, `private` (whether its rules keep a question here) by the one that routes. `local_only`: nothing at
    all may leave. Each of `leaving` is told the engine, the path and the body of what is about to leave, and what it
    raises keeps it here: the place for a record that must be there before. `record`: where decisions are written down,
    None where there is no log. `arms`: versions that are tried side by side; `answers`: those given lately; `recent`:
    the last questions to each engine of this machine, so that its next version can be warmed with them."""

    def __init__(self, engines: Mapping[str, Engine], options: GatewayOptions) -> None:
        self.engines = dict(engines)
        self.options = options
        self.observed = Observed()
        self.failed: dict[str, PenjingError] = {}
        self.pools: dict[str, Pool] = {}
        self.admit: Callable[[Incoming], Grant] = lambda incoming: OPEN
        self.spent: Callable[[str], float] = lambda key: 0.0
        self.waiting: Callable[[str], int] = lambda engine: 0
        self.private: Callable[[Ask], bool] = lambda ask: False
        self.local_only = False
        self.leaving: list[Callable[[str, str, bytes], Awaitable[None]]] = []
        self.record: Callable[[Callable[[], dict[str, object]]], None] | None = None
        self.arms = Arms()
        self.answers = Answers()
        self.recent = Recent()
        self.asked: dict[str, float] = {}
        """When each engine was asked last, on the loop's clock."""
        self.pulse = Pulse()
        self._former: list[Pool] = []
        self.rests = Rests(self.engines, lambda name: name in self.pools and self.pools[name].active > 0)

    def named(self, model: str) -> str:
        """The name of the engine `model`, of the first one where none is named. Raises NoSuchModel."""
        if not model and self.engines:
            return next(iter(self.engines))
        if model not in self.engines:
            raise NoSuchModel(model=model, known=", ".join(self.engines), param="model")
        return model

    def lane(self, name: str) -> str:
        """The engine whose slots, links and memory the engine `name` uses: itself, or the one it is a view of."""
        return str(getattr(self.engines.get(name), "of", name))

    @property
    def is_open(self) -> bool:
        """Whether somebody without a key is let in."""
        try:
            self.admit(Incoming("GET", "/"))
        except AccessError:
            return False
        return True

    def chosen(self, model: str) -> tuple[str, Engine]:
        """The engine named `model`, the first one where none is named. Raises NoSuchModel, and why it failed."""
        name = self.named(model)
        failure = self.failed.get(self.lane(name))
        if failure is not None:
            raise failure
        return name, self.engines[name]

    def add(self, name: str, engine: Engine) -> None:
        """From now on requests may ask for `name`."""
        self.engines[name] = engine
        self.failed.pop(name, None)

    def remove(self, name: str) -> Engine:
        """From now on nobody can ask for `name`; answers under way go on (`at_work` tells until when)."""
        self.failed.pop(name, None)
        self._retire(name)
        return self.engines.pop(name)

    def at_work(self, address: Address) -> int:
        """How many requests an engine works on, or is about to, under `address`."""
        return sum(pool.active for pool in (*self.pools.values(), *self._former) if pool.address == address)

    async def open(self, model: str, path: str, body: bytes, *, local_only: bool) -> Answer:
        """The answer of the engine `model` to a POST, from its head on; the caller reads or cancels it. Raises
        NoSuchModel, MustStay, EngineError, InputError."""
        name, engine = self.chosen(model)
        if (local_only or self.local_only) and not engine.local:
            raise MustStay(model=name)
        if not engine.local:
            for tell in self.leaving:
                await tell(name, path, body)
        else:
            self.recent.add(name, path, body)
        wake = getattr(engine, "wake", None)
        if wake is not None:
            self.asked[self.lane(name)] = asyncio.get_running_loop().time()
            await wake()
        answer = await self.pool(name, engine).ask("POST", path, body)
        if answer.status == 200:
            return answer
        try:
            raise errors.engine_error(answer.status, await answer.read(), name)
        finally:
            answer.cancel()

    async def post(self, model: str, path: str, body: bytes, *, local_only: bool) -> bytes:
        """As `open`, the whole body."""
        answer = await self.open(model, path, body, local_only=local_only)
        try:
            return await answer.read()
        finally:
            answer.cancel()

    def pool(self, name: str, engine: Engine) -> Pool:
        """The links to `engine`. Raises EngineLoading."""
        name = self.lane(name)
        address = engine.address
        pool = self.pools.get(name)
        if pool is None or (pool.address is not address and pool.address != address):
            self._retire(name)
            slots = engine.capabilities.slots or UNTOLD_SLOTS
            silence = self.options.silence.get(name) or (HERE if engine.local else AWAY)
            pool = self.pools[name] = Pool(name, address, slots + WAITING, slots, silence)
        return pool

    def _retire(self, name: str) -> None:
        """Let go of the links to an engine that are not at work."""
        self._former = [pool for pool in self._former if pool.active]
        pool = self.pools.pop(name, None)
        if pool is not None:
            pool.close()
            self._former.append(pool)

    def close(self) -> None:
        """Let go of the links to engines."""
        self.rests.close()
        for pool in self.pools.values():
            pool.close()
