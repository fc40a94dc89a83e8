"""The models as OpenAI's clients list them."""

from __future__ import annotations

from urllib.parse import unquote

from penjing.gateway import models
from penjing.gateway.dialects.dialect import Answered, Page
from penjing.gateway.dialects.openai.errors import JSON
from penjing.gateway.grant import Grant
from penjing.gateway.house import House
from penjing.gateway.reply import Incoming

MODELS = "/v1/models"


async def every(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """GET /v1/models"""
    return 200, JSON, models.listed(models.known(house, grant))


async def one(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """GET /v1/models/NAME"""
    name = unquote(incoming.path.removeprefix(MODELS).strip("/"))
    if not name:
        return await every(incoming, house, grant)
    return 200, JSON, models.one(*models.chosen(house, grant, name))


PAGES = (
    Page("GET", MODELS, every, "The models here."),
    Page("GET", f"{MODELS}/*", one, "One model."),
)
