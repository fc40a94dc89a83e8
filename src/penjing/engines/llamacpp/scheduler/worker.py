"""The child process that holds one model with our scheduler: `python -m penjing.engines.llamacpp.scheduler.worker`.

Started, spoken to and ended as `engines.llamacpp.worker` is (see there).

Does not know: how its settings were chosen, who talks to it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial

from penjing.engines.llamacpp import worker
from penjing.engines.llamacpp.scheduler.scheduler import Scheduler
from penjing.engines.llamacpp.scheduler.service import Service
from penjing.engines.llamacpp.scheduler.shelf import Shelf
from penjing.engines.llamacpp.settings import Settings
from penjing.engines.llamacpp.version import version
from penjing.errors import PenjingError
from penjing.files import home
from penjing.native import log
from penjing.native.context import MOST_SEQUENCES, Context
from penjing.native.library import library_version, take
from penjing.native.model import Model

LEVELS = {"error": log.ERROR, "warning": log.WARNING, "info": log.INFO, "debug": log.DEBUG}
SPARE = 48
"""Sequences beyond the slots: conversations that rest in the cache."""
SHELF, SHARE = 4 << 30, 0.05
"""Bytes of conversations on disk at most, and the share of the free disk they may take."""


def main() -> int:
    """Load, report, serve until told to stop; the exit status of the process."""
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
        asyncio.run(serve(settings, partial(worker.report, reports)))
    except (PenjingError, OSError, ValueError) as error:
        worker.report(reports, event="failed", detail=str(error))
        return 1
    return 0


async def serve(settings: Settings, report: Callable[..., None]) -> None:
    """Load and answer until SIGTERM. Raises LoadFailed, LibraryMissing, LayoutUnknown, OSError."""
    from aiohttp import web

    from penjing.engines.llamacpp.scheduler.server import Server

    service = Service(loaded(settings))
    server = Server(service, settings)
    runner = web.AppRunner(server.app, handler_cancellation=True, shutdown_timeout=0.5, access_log=None)
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


def loaded(settings: Settings) -> Scheduler:
    """The scheduler of the model, in memory. Raises LoadFailed, LibraryMissing, LayoutUnknown."""
    if settings.library:
        take(settings.library, settings.library_version)
    model = Model(settings.model, mmap=settings.mmap, gpu_layers=settings.gpu_layers)
    states = model.recurrent or model.window
    sequences = settings.slots if states else min(settings.slots + SPARE, MOST_SEQUENCES)
    context = Context(
        model,
        settings.pool,
        sequences,
        threads=settings.threads,
        batch=settings.batch,
        ubatch=settings.ubatch,
        kv_type=settings.kv_type,
        flash=settings.flash_attention,
        rope_scale=settings.rope_scale,
    )
    if settings.lora:
        context.adapt([(model.adapter(path), weight) for path, weight in settings.lora])
    return Scheduler(context, settings.slots, settings.context, threads=settings.threads, shelf=shelf(settings))


def shelf(settings: Settings) -> Shelf | None:
    """Where conversations of this model are kept; None for sealed ones, of which nothing is written."""
    if settings.private:
        return None
    folder = home() / "conversations"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    budget = min(SHELF, int(shutil.disk_usage(folder).free * SHARE))
    key = f"{version(settings)} {library_version()} {os.uname().machine if hasattr(os, 'uname') else sys.platform}"
    return Shelf(folder, key, budget)


if __name__ == "__main__":
    sys.exit(main())
