"""How many tokens a question has, counted by the engine that would answer it: its chat template, its tokenizer.

llama.cpp counts at `/v1/chat/completions/input_tokens` (tools/server/README.md: pictures too, nothing is generated),
vLLM at `/tokenize` with messages. Clouds count nowhere in OpenAI's dialect; that is said, not estimated.

Does not know: policies, dialects other than OpenAI's.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from penjing.errors import EngineError, InvalidRequest, Unsupported
from penjing.gateway.ask import Ask
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.check import CertainOverflow, check
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.dialects.openai.rewrite import for_engine
from penjing.gateway.house import House
from penjing.gateway.images import require_allowed
from penjing.gateway.models import chosen

NOT_THERE = (404, 405, 501)
LLAMACPP, VLLM = "/v1/chat/completions/input_tokens", "/tokenize"


class _Counted(msgspec.Struct):
    input_tokens: int | None = None
    count: int | None = None
    tokens: list[int] | None = None


_DECODER = msgspec.json.Decoder(_Counted)


async def question(ask: Ask, house: House) -> int:
    """Tokens of what `ask` would ask the model it names. What must stay is counted here only. Raises as `tokens`."""
    name, _ = chosen(house, ask.key, ask.model)
    return await tokens(house, name, ask.body, ask.local_only or house.private(ask))


async def tokens(house: House, model: str, body: bytes, local_only: bool) -> int:
    """Tokens of the prompt that the chat completion `body` becomes, as `usage.prompt_tokens` would tell them; a prompt
    longer than the context is counted too. Raises what asking it would raise, and Unsupported where the engine cannot
    count."""
    name, engine = house.chosen(model)
    said = parse(body, wire.ChatBody)
    with suppress(CertainOverflow):
        check(said, engine.capabilities)
        require_allowed(said, house.options.image_hosts)
    asked = for_engine(body, said, engine.capabilities)
    for path in (LLAMACPP, VLLM):
        counted = await _asked(house, name, path, asked, local_only)
        if counted is not None:
            return counted
    raise Unsupported(feature="counting tokens", model=name)


async def text_tokens(house: House, model: str, text: str, local_only: bool) -> int:
    """Tokens of a bare `text` that is to be continued, the model's beginning mark among them. Raises as `tokens`."""
    name, engine = house.chosen(model)
    # `content` is llama.cpp's word, `prompt` is vLLM's; each passes over the other's.
    said = {"model": engine.capabilities.model, "content": text, "prompt": text}
    body = msgspec.json.encode({**said, "add_special": True, "parse_special": True})
    counted = await _asked(house, name, VLLM, body, local_only)
    if counted is None:
        raise Unsupported(feature="counting tokens", model=name)
    return counted


async def _asked(house: House, name: str, path: str, body: bytes, local_only: bool) -> int | None:
    """The engine's count; None where it has no such path."""
    try:
        answer = await house.post(name, path, body, local_only=local_only)
    except (InvalidRequest, Unsupported) as error:
        if error.facts.get("status") in NOT_THERE:
            return None
        raise
    try:
        said = _DECODER.decode(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EngineError(detail=f"its count cannot be read ({error})") from None
    if said.tokens is not None and said.count is None:
        return len(said.tokens)
    return said.count if said.input_tokens is None else said.input_tokens
