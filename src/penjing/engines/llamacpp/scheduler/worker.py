"""The child process that holds one model with our scheduler: `python -m penjing.engines.llamacpp.scheduler.worker`.

Started, spoken to and ended as `engines.llamacpp.worker` is (see there).

Does not know: how its settings were chosen, who talks to it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from penjing.engines.llamacpp import worker
from penjing.engines.llamacpp.scheduler.loading import loaded, restraint
from penjing.engines.llamacpp.scheduler.service import Service
from penjing.engines.llamacpp.settings import Settings
from penjing.errors import PenjingError
from penjing.native import log, spin
from penjing.native.library import take
from penjing.native.model import Model

if TYPE_CHECKING:
    from aiohttp import web

SERVER = "penjing.engines.llamacpp.scheduler.server"
LEVELS = {"error": log.ERROR, "warning": log.WARNING, "info": log.INFO, "debug": log.DEBUG}


Make = Callable[[Settings], "tuple[Any, web.Application]"]
"""What computes (it can `start` and `stop`) and what listens, of a model in memory."""


def main(make: Make | None = None) -> int:
    """Load with `make`, report, serve until told to stop; the exit status of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides when to stop
    worker.die_with_parent()
    worker.die_first()
    reports = worker.take_stdout()
    settings = Settings.decode(sys.stdin.buffer.readline())
    worker.watch_parent()
    if settings.private:
        worker.hide()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    log.tell(LEVELS[settings.log_level])
    worker.report(reports, event="loading")
    try:
        asyncio.run(serve(settings, partial(worker.report, reports), make or made))
    except (PenjingError, OSError, ValueError) as error:
        worker.report(reports, event="failed", detail=str(error))
        return 1
    return 0


def made(settings: Settings) -> tuple[Service, web.Application]:
    """Our scheduler. Raises LoadFailed, LibraryMissing, LayoutUnknown, DraftOfAnother, OSError."""
    if settings.library:  # what the wheel has computes too long between two barriers for spinning to pay
        spin.longer()
        take(settings.library, settings.library_version)
    reading = threading.Thread(target=import_module, args=(SERVER,), daemon=True)
    reading.start()  # the library lets Python go on while it loads: on a busy machine, two threads get twice the time
    model = Model(settings.model, mmap=settings.mmap, gpu_layers=settings.gpu_layers)
    scheduler, embedder = loaded(model, settings)
    reading.join()
    from penjing.engines.llamacpp.scheduler.server import Server

    service = Service(scheduler, restraint(settings))
    return service, Server(service, settings, embedder).app


async def serve(settings: Settings, report: Callable[..., None], make: Make) -> None:
    """Load and answer until SIGTERM. Raises what `make` raises, OSError."""
    from aiohttp import web

    service, app = make(settings)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5, access_log=None)
    await runner.setup()
    if settings.socket:
        await web.UnixSite(runner, settings.socket).start()
        address = settings.socket
    else:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    done = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)
    service.start()
    report(event="ready", address=address)
    await done.wait()
    await asyncio.to_thread(service.stop)
    await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main())
