"""llama.cpp as an engine: settings derived, a worker started, its address and capabilities told.

Does not know: restarting (`operate.supervise`), requests.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from penjing.engines.engine import Address, Capabilities, Progress
from penjing.engines.known import Known
from penjing.engines.llamacpp.derive import Derived
from penjing.engines.llamacpp.footprint import Footprint, resident, weigh
from penjing.engines.llamacpp.options import EngineOptions
from penjing.engines.llamacpp.prepare import prepare
from penjing.engines.llamacpp.process import SOCKET, Process
from penjing.engines.llamacpp.schema import GAPS
from penjing.engines.llamacpp.settings import RANK, Settings
from penjing.engines.llamacpp.stretch import stretched
from penjing.engines.llamacpp.version import version
from penjing.engines.never import never
from penjing.engines.starved import kills, starved
from penjing.errors import EngineStartFailed
from penjing.progress import Report
from penjing.store.lease import Lease

if TYPE_CHECKING:
    import aiohttp

    from penjing.engines.llamacpp.unsealed import Unsealed
    from penjing.store.seal.opening import Opened

T = TypeVar("T")
UNIX_SOCKETS = sys.platform != "win32"
PATIENCE = 5.0
"""Seconds the worker may take to answer /health or /props."""
READ, LOADED = 0.05, 0.95
"""Progress after the header is read, and when only the answer to /health is missing."""


class Left(Exception):
    """Nobody waits any more for a file that is being made."""


class LlamaCpp(Known):
    """The GGUF at `model`, served under `name`. `derived` holds the settings and their reasons once `start` was called;
    the file is closed and the worker gone after `stop`. Where `model` is a checkpoint, `make` makes the GGUF of it
    at the first start, in another thread, and says where it is; what its report raises cancels it. Where it is `sealed`
    the worker maps memory that it was opened into."""

    def __init__(
        self,
        model: Path,
        name: str,
        options: EngineOptions | None = None,
        make: Callable[[Report], Path] | None = None,
        sealed: Opened | None = None,
    ) -> None:
        super().__init__(name)
        self.model = model
        self.options = options or EngineOptions()
        self.derived: Derived | None = None
        self._make, self._near = make, model
        self._sealed = unsealed(sealed) if sealed else None
        self._process: Process | None = None
        self._client: aiohttp.ClientSession | None = None
        self._stopping = False
        self._is_made = False
        self._lease: Lease | None = None  # while it runs nobody removes the file from the store
        self._kills = 0
        self.budget = 0
        """Bytes of memory it may take; 0 for all that is free."""
        self.starved = False
        """Whether it ended for want of memory the last time."""

    def __repr__(self) -> str:
        return f"LlamaCpp({str(self.model)!r}, {self._name!r})"

    @property
    def progress(self) -> Progress:
        """While loading: the share of the memory it needs that the worker holds already."""
        if self._progress.stage == "loading" and self._process and self.derived:
            share = resident(self._process.pid) / max(self.derived.need.total, 1)
            return Progress(min(READ + share * (LOADED - READ), LOADED), "loading")
        return self._progress

    @property
    def pid(self) -> int:
        """The worker's process id; 0 when there is none."""
        return self._process.pid if self._process else 0

    @property
    def log(self) -> Path | None:
        """The file the worker's own words go to; None before the first start."""
        return self._process.log if self._process else None

    async def start(self) -> None:
        """Load. Raises ModelError, SettingError and DeviceUnavailable before, EngineStartFailed after the worker was
        started; in every case nothing is left running."""
        if self._process is not None:
            return
        self._stopping = False
        self._kills = await asyncio.to_thread(kills)
        self._progress = Progress(0.0, "reading")
        self.derived = await self.foresee()
        try:
            process = self._process = Process(self.derived.settings)
        except OSError as error:  # no temporary folder can be written
            raise EngineStartFailed(model=self._name, detail=str(error)) from error
        self._progress = Progress(READ, "loading")
        try:
            self._lease = Lease(self.model)
            settings = await self._opened(process, self.derived.settings)
            settings = process.settings = await asyncio.to_thread(placed, settings, process.folder)
            await process.start(self._hear)
            self._address = address(settings, process.address)
            self._client = client(self._address)
            self._capabilities = await self._ask_capabilities()
        except BaseException:
            await self.stop()
            self._let_go()
            raise
        self._progress = Progress(1.0, "ready")

    async def foresee(self) -> Derived:
        """How it would be started now. Raises ModelError (ModelTooBig where it does not fit), SettingError,
        DeviceUnavailable."""
        await self._made()
        ready = self._sealed.prepare if self._sealed else partial(prepare, self.model, near=self._near)
        return await asyncio.to_thread(ready, self._name, self.options, most=self.budget)

    async def expected(self) -> Capabilities:
        """What it will be able to do, from its header alone; where it will start with less than was asked for, so much.
        From then on it is always started with this context and these slots. Raises as `foresee` does."""
        self.derived = await self.foresee()
        settings = self.derived.settings
        self.options = dataclasses.replace(self.options, max_context=settings.context, parallel=settings.slots)
        return foreseen(self._name, self.derived)

    async def _made(self) -> None:
        """Make the GGUF where there is none, also after the store put it to rest. Raises what making it raises."""
        if self._make is None or (self._is_made and self.model.exists()):
            return
        self.model = await self._aside(self._make)
        self._is_made = True
        self._progress = Progress(0.0, "reading")

    async def _opened(self, process: Process, settings: Settings) -> Settings:
        """`settings` with what `process` maps: where the model is sealed, memory that it inherits."""
        if self._sealed is None:
            return settings
        memory = await self._aside(self._sealed.fill)
        process.inherited = (memory.descriptor,)
        self._progress = Progress(READ, "loading")
        return dataclasses.replace(settings, model=str(memory.path))

    async def _aside(self, work: Callable[[Report], T]) -> T:
        """What `work` returns, done in another thread; its reports become our progress. Cancelled with us."""
        left = threading.Event()

        def report(progress: Progress) -> None:
            if left.is_set():
                raise Left
            self._progress = dataclasses.replace(progress, fraction=min(progress.fraction, LOADED))

        try:
            return await asyncio.to_thread(work, report)
        except asyncio.CancelledError:
            left.set()
            raise

    def _let_go(self) -> None:
        if self._sealed is not None:
            self._sealed.let_go()

    def _hear(self, said: dict[str, object]) -> None:
        if said["event"] == "ready":
            self._progress = Progress(LOADED, "warming")

    async def ready(self) -> bool:
        """Whether /health says so. Who keeps an engine asks often, so its log is looked after here."""
        import aiohttp

        if self._process is not None:
            self._process.trim()

        if self._client is None:
            return False
        try:
            async with self._client.get("/health") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError):
            return False

    async def ended(self) -> str:
        """Wait until the worker ends by itself; never returns after `stop`."""
        process = self._process
        if process is not None:
            how = await process.wait()
            if not self._stopping:
                self.starved = await asyncio.to_thread(starved, how, process.tail(), self._kills)
                return f"{how}, out of memory" if self.starved else how
        return await never()

    async def stop(self) -> None:
        """End the worker and remove its folder. What a sealed model was opened into is kept once where the worker ended
        by itself: it is about to be started again."""
        self._stopping = True
        process, self._process = self._process, None
        if process is None or process.pid:
            self._let_go()
        session, self._client = self._client, None
        self._address = self._capabilities = None
        self._progress = Progress(0.0, "stopped")
        if session is not None:
            await session.close()
        if process is not None:
            await process.stop()
        if self._lease is not None:
            self._lease.end()

    def resize(self, context: int) -> None:
        """From the next start on: conversations of at most `context` tokens."""
        self.options = dataclasses.replace(self.options, max_context=context)

    async def footprint(self) -> Footprint:
        """What the worker takes of the machine's memory now; zeros when it is not running."""
        mapped = Path(self._process.settings.model) if self._process else self.model
        return await asyncio.to_thread(weigh, self.pid, mapped)

    async def _ask_capabilities(self) -> Capabilities:
        import aiohttp

        assert self._client is not None
        assert self.derived is not None
        try:
            async with self._client.get("/props") as answer:
                props: dict[str, Any] = await answer.json()
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise EngineStartFailed(model=self._name, detail=f"/props: {error}") from error
        return capabilities(self._name, self.derived, props)


def unsealed(sealed: Opened) -> Unsealed:
    """As an engine needs it; imported when there is one."""
    from penjing.engines.llamacpp.unsealed import Unsealed

    return Unsealed(sealed)


def placed(settings: Settings, folder: Path) -> Settings:
    """`settings` with a file that allows their context, and a place to listen: a socket in `folder`, on Windows a port
    with a key nobody else knows. May copy the model (see `stretch`)."""
    if settings.rope_scale != 1:
        settings = dataclasses.replace(settings, model=str(stretched(Path(settings.model), settings.context)))
    if not UNIX_SOCKETS:
        return dataclasses.replace(settings, key=secrets.token_urlsafe(24))
    return dataclasses.replace(settings, socket=str(folder / SOCKET))


def address(settings: Settings, told: str) -> Address:
    """How to reach a worker that told where it listens."""
    if settings.socket:
        return Address("http://engine", socket=settings.socket)
    return Address(told, headers={"Authorization": f"Bearer {settings.key}"})


def client(place: Address) -> aiohttp.ClientSession:
    """A session whose requests go to `place`."""
    import aiohttp

    connector = aiohttp.UnixConnector(place.socket) if place.socket else aiohttp.TCPConnector()
    patience = aiohttp.ClientTimeout(total=PATIENCE)
    return aiohttp.ClientSession(place.url, connector=connector, headers=place.headers, timeout=patience)


def foreseen(name: str, derived: Derived) -> Capabilities:
    """As `capabilities`, before there is a worker to ask."""
    settings, template = derived.settings, derived.template
    return Capabilities(
        model=name,
        context=settings.context,
        slots=settings.slots,
        chat=bool(template),
        version=version(settings),
        schema_gaps=GAPS,
        embeddings=settings.embeddings and settings.pooling != RANK,
        rerank=settings.pooling == RANK,
        vision=bool(derived.projector and derived.projector.vision),
        audio=bool(derived.projector and derived.projector.audio),
        reasoning="enable_thinking" in template or "<think>" in template,
        hears_leaving=False,
        adapters=adapters(derived),
        weights=weights(derived),
        metadata={"pool": settings.pool},
    )


def adapters(derived: Derived) -> tuple[tuple[str, float], ...]:
    """Name and weight of each LoRA adapter, in the order of their ids."""
    return tuple((each.name, each.weight) for each in derived.adapters)


def weights(derived: Derived) -> tuple[float, ...]:
    """What each question says of adapters that does not choose any. llama.cpp notices only where a question says so
    that a slot's cache was computed with others, so that none may say nothing."""
    if not any(each.name for each in derived.adapters):
        return ()
    return tuple(each.at_first for each in derived.adapters)


def capabilities(name: str, derived: Derived, props: dict[str, Any]) -> Capabilities:
    """From llama.cpp's /props: context of a slot, slots, modalities, and what the chat template knows of."""
    can = props.get("chat_template_caps") or {}
    modalities = props.get("modalities") or {}
    template = str(props.get("chat_template") or "")
    return Capabilities(
        model=name,
        context=int(props["default_generation_settings"]["n_ctx"]),
        slots=int(props["total_slots"]),
        chat=bool(template),
        version=version(derived.settings),
        schema_gaps=GAPS,
        embeddings=derived.settings.embeddings and derived.settings.pooling != RANK,
        rerank=derived.settings.pooling == RANK,
        vision=bool(modalities.get("vision")),
        audio=bool(modalities.get("audio")),
        tools=bool(can.get("supports_tools", True)),
        reasoning="enable_thinking" in template or "<think>" in template,
        hears_leaving=False,
        adapters=adapters(derived),
        weights=weights(derived),
        metadata={"quantization": props.get("model_ftype", ""), "pool": derived.settings.pool},
    )
