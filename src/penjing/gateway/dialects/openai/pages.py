"""What OpenAI's clients read beside answers: the models; and, of our own, what a person thought of an answer."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import unquote

from msgspec import Meta

from penjing.gateway import models
from penjing.gateway.arms import Thumb
from penjing.gateway.audit.log import now
from penjing.gateway.dialects.dialect import Answered, Page
from penjing.gateway.dialects.openai.errors import JSON
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.dialects.openai.wire import Wire
from penjing.gateway.grant import Grant
from penjing.gateway.house import House
from penjing.gateway.reply import Incoming

MODELS = "/v1/models"
FEEDBACK = "/v1/feedback"


class Feedback(Wire):
    """`id`: of the answer, its header x-penjing-answer or the id in its body."""

    id: Annotated[str, Meta(min_length=1, max_length=128)]
    rating: Literal["up", "down"]


async def every(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """GET /v1/models"""
    return 200, JSON, models.listed(models.known(house, grant))


async def one(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """GET /v1/models/NAME"""
    name = unquote(incoming.path.removeprefix(MODELS).strip("/"))
    if not name:
        return await every(incoming, house, grant)
    return 200, JSON, models.one(*models.chosen(house, grant, name))


async def feedback(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """POST /v1/feedback. Raises NoSuchAnswer."""
    said = parse(incoming.body, Feedback)
    given = house.answers.find(said.id, grant.name)
    house.observed.feedback.add(given.engine, said.rating)
    if given.arm:
        model = given.model or next(iter(house.engines), "")
        up = said.rating == "up"
        house.arms.tell(Thumb(model, given.arm, given.conversation, up=up))
    if house.record is not None:
        record = {"at": now(), "what": "feedback", "key": given.key, "answer": given.id, "engine": given.engine}
        house.record(lambda: {**record, "arm": given.arm, "rating": said.rating})
    return 200, JSON, b'{"object":"feedback","accepted":true}'


PAGES = (
    Page("GET", MODELS, every, "The models here."),
    Page("GET", f"{MODELS}/*", one, "One model."),
    Page("POST", FEEDBACK, feedback, "What a person thought of an answer.", body=Feedback),
)
