"""Whatever the OpenAPI document allows, and much that it does not, is answered: never with a fault of ours."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from penjing.engines.fake import Fake, Script
from penjing.gateway.app import Gateway
from penjing.gateway.dialects.table import Table
from penjing.gateway.openapi import document
from penjing.gateway.serve import Said, bind, serve

schemathesis = pytest.importorskip("schemathesis", reason="in the environment of foreign clients")
pytestmark = pytest.mark.clients

SCHEMA = schemathesis.openapi.from_dict(json.loads(document(Table())))
SERVER_FAULT = 500
REFUSALS = (501, 507)
"""Statuses from 500 on that say no. An engine's faults (502 to 504) are none: the one here does not fail."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A gateway before a fake engine, in a thread of its own."""
    said: list[Said] = []
    stop: dict[str, Any] = {}
    listener = bind("127.0.0.1", 0)

    async def run() -> None:
        stop["loop"], stop["task"] = asyncio.get_running_loop(), asyncio.current_task()
        try:
            await serve(Gateway({"fake": Fake(Script(vision=True))}), listener, announce=said.append, drain_seconds=1)
        except asyncio.CancelledError:
            return

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    while len(said) < 2:
        thread.join(0.01)
        assert thread.is_alive()
    yield said[0].url
    stop["loop"].call_soon_threadsafe(stop["task"].cancel)
    thread.join()


@SCHEMA.parametrize()
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_fault_of_ours(case: Any, address: str) -> None:
    answer = case.call(base_url=address)
    assert answer.status_code < SERVER_FAULT or answer.status_code in REFUSALS, answer.text
    documented = {str(status) for status in case.operation.definition.raw["responses"]}
    assert case.method == "OPTIONS" or str(answer.status_code) in documented, answer.text
