"""Ollama's dialect, as it is registered."""

from __future__ import annotations

from penjing.gateway.dialects.dialect import Dialect, Page
from penjing.gateway.dialects.ollama import pages
from penjing.gateway.dialects.ollama.endpoints import ENDPOINTS
from penjing.gateway.dialects.ollama.said import refusal
from penjing.gateway.dialects.ollama.wire import Managed, Named

MANAGED = (("POST", "pull"), ("POST", "push"), ("POST", "create"), ("POST", "copy"), ("DELETE", "delete"))

DIALECT = Dialect(
    "ollama",
    refusal,
    ENDPOINTS,
    (
        Page("GET", "/", pages.running, "That a server is here, as Ollama's command line asks first.", open=True),
        Page("GET", "/api/version", pages.version, "The version of Ollama's API that is spoken here.", open=True),
        Page("GET", "/api/tags", pages.tags, "The models here."),
        Page("GET", "/api/ps", pages.loaded, "The models that are loaded."),
        Page("POST", "/api/show", pages.show, "What a model is and can do.", Named),
        *(
            Page(method, f"/api/{word}", pages.managed, "Refused: models are chosen where the server starts.", Managed)
            for method, word in MANAGED
        ),
    ),
)
