"""The worker's HTTP surface: that of penjing's scheduler, before OpenVINO's pipeline.

Does not know: how a worker is started, what the pipeline decides.
"""

from __future__ import annotations

from typing import Any, cast

from aiohttp import web

from penjing.engines.llamacpp.scheduler import server
from penjing.engines.llamacpp.settings import Settings
from penjing.engines.openvino.service import Service


class Server(server.Server):
    """Answers with `service`, started with `settings`."""

    def __init__(self, service: Service, settings: Settings) -> None:
        # It asks of a service what both have: the model, its context, who is busy, to answer, to stop.
        super().__init__(cast(Any, service), settings)

    async def _metrics(self, request: web.Request) -> web.Response:
        lines = (f"penjing_openvino_running {self.service.busy}", f"penjing_openvino_waiting {self.service.waiting}")
        return web.Response(text="\n".join(lines) + "\n")
