"""The Responses API as it is registered: what asks a model, and what is read of answers that were kept."""

from __future__ import annotations

from functools import partial

from penjing.gateway.dialects.dialect import Dialect, Page
from penjing.gateway.dialects.openai.endpoints import refusal
from penjing.gateway.dialects.responses import pages, wire
from penjing.gateway.dialects.responses.endpoint import PATH, Responses
from penjing.gateway.dialects.responses.store import Store


def dialect() -> Dialect:
    """A new one, with a store of its own."""
    store = Store()
    answer = f"{PATH}/*"
    return Dialect(
        "responses",
        refusal,
        (Responses(store),),
        (
            Page("POST", f"{PATH}/input_tokens", partial(pages.count, store), "Tokens of a question.", wire.Asked),
            Page("GET", answer, partial(pages.read, store), "An answer that was kept, or what it answered."),
            Page("DELETE", answer, partial(pages.delete, store), "Forget an answer."),
        ),
    )
