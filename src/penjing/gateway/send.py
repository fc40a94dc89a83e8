"""The end of the chain: an `Ask` to its engine and the engine's answer back.

Does not know: connections (`House.open`), policies.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from functools import partial

from penjing.errors import InputError
from penjing.gateway import schema
from penjing.gateway.answer import Answer
from penjing.gateway.ask import Ask
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.check import check
from penjing.gateway.dialects.openai.logprobs import old_logprobs
from penjing.gateway.dialects.openai.reasoning import left_out
from penjing.gateway.dialects.openai.rewrite import for_engine
from penjing.gateway.house import House
from penjing.gateway.images import require_allowed
from penjing.gateway.link import EngineProtocol
from penjing.gateway.merge import Send, merged, several
from penjing.gateway.whole import whole
from penjing.messages import Chunk, Event

PATHS: dict[type[wire.Body], str] = {
    wire.ChatBody: "/v1/chat/completions",
    wire.CompletionBody: "/v1/completions",
    wire.EmbeddingBody: "/v1/embeddings",
    wire.RerankBody: "/v1/rerank",
}
"""Where engines take each kind of question."""


class ContextNotThere(InputError):
    """Facts: `model`, `wanted`, `context` (both in tokens)."""

    template = "{model} was started with a context of {context} tokens; the request wants {wanted}."
    hint = "Ask for at most {context}, or start with a larger --max-context."
    code = "context_not_there"


async def send(ask: Ask, house: House) -> AsyncIterable[Event]:
    """The engine's answer, or several put together. Raises NoSuchModel, MustStay, EngineError, InputError."""
    name, engine = house.chosen(ask.target)
    ask.target = name
    capabilities = engine.capabilities
    if capabilities.context and ask.context > capabilities.context:
        raise ContextNotThere(model=name, wanted=ask.context, context=capabilities.context, param="num_ctx")
    lane = house.lane(name)
    if ask.rest is not None or house.rests.told(lane):
        ask.at_end(lambda outcome: house.rests.used(lane, ask.rest))
    check(ask.wire, capabilities)
    require_allowed(ask.wire, house.options.image_hosts)
    schema.tell(ask, capabilities)
    body = for_engine(ask.body, ask.wire, capabilities)
    one: Send = partial(_open, house, name, PATHS[type(ask.wire)], local_only=ask.local_only)
    if not (ask.stream or capabilities.hears_leaving or isinstance(ask.wire, wire.Weighing)):
        one = partial(whole, one)
    answer: AsyncIterable[Chunk] = await merged(body, ask.wire, one) if several(ask.wire) else await one(body)
    _require_as_asked(answer, ask)
    if getattr(ask.wire, "return_reasoning", None) is False:
        return left_out(answer, ask.stream)
    if isinstance(ask.wire, wire.CompletionBody) and ask.wire.logprobs is not None:
        return old_logprobs(answer, ask.stream)
    return answer


async def _open(house: House, name: str, path: str, body: bytes, *, local_only: bool) -> Answer:
    return await house.open(name, path, body, local_only=local_only)


def _require_as_asked(answer: AsyncIterable[Chunk], ask: Ask) -> None:
    """Raises EngineProtocol where a stream came and none was asked for, or the other way round."""
    if not isinstance(answer, Answer) or answer.streams == ask.stream:
        return
    if answer.streams or answer.content_type.startswith(b"application/json"):
        answer.cancel()
        wanted, sent = ("a stream", "one object") if ask.stream else ("one object", "a stream")
        raise EngineProtocol(model=ask.target, detail=f"asked for {wanted}, it sends {sent}")
