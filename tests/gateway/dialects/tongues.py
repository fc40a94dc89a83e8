"""Every dialect from a client's side: what of the internal form it can say, and how it says it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import structs

from gateway.dialects.anthropic.test_conversion import body as anthropic
from gateway.dialects.anthropic.test_conversion import unquoted
from gateway.dialects.responses.test_conversion import body as responses
from penjing.gateway.dialects.ollama.convert import IMAGES
from penjing.gateway.dialects.openai.body import body as openai
from penjing.messages import Audio, Image, Message, Part, Request, Sampling, Text

HI = Message(role="user", parts=(Text(text="hi"),))
COMMON = {"model", "messages", "sampling", "stream", "include_usage"}
OFTEN = {"tools", "tool_choice", "parallel_tool_calls", "schema", "thinking", "return_reasoning", "user"}
DRAWN = {"temperature", "top_p", "max_tokens"}
PENALTIES = {"presence_penalty", "frequency_penalty"}
LLAMACPP = {"min_p", "typical_p", "repeat_penalty", "mirostat"}
EVERYTHING = set(Request.__struct_fields__) - {"wire"}


class Unsayable(Exception):
    """`names`: the places of a request that a dialect has no words for."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(", ".join(self.names))


@dataclass(frozen=True)
class Tongue:
    """`fields`, `sampling`, `extra`: what it has words for. `turns` keeps what it can say of a conversation; `settle`
    brings fields into line that it says together."""

    name: str
    fields: set[str]
    sampling: set[str]
    turns: Callable[[tuple[Message, ...]], tuple[Message, ...]]
    settle: Callable[[Request], Request]
    write: Callable[[Request], bytes]
    paths: tuple[str, str]
    """For a conversation and for a bare text."""
    extra: set[str] | None = None

    def fitted(self, request: Request) -> Request:
        """As much of it as can be said."""
        kept = Request(**{name: getattr(request, name) for name in self.fields})
        drawn: dict[str, Any] = {name: getattr(request.sampling, name) for name in self.sampling - {"extra"}}
        extra = request.sampling.extra
        if self.extra is not None:
            extra = {name: value for name, value in extra.items() if name in self.extra}
        kept = structs.replace(kept, sampling=Sampling(**drawn, extra=extra))
        if kept.prompt is None:
            kept = structs.replace(kept, messages=self.turns(kept.messages) or (HI,))
        return self.settle(kept)

    def say(self, request: Request) -> bytes:
        """Its body. Raises Unsayable."""
        lost = tuple(differences(request, self.fitted(request)))
        if lost:
            raise Unsayable(lost)
        return self.write(request)

    def path(self, request: Request) -> str:
        return self.paths[request.prompt is not None]


def differences(before: object, after: object, place: str = "") -> Iterator[str]:
    """The places where two values are not the same."""
    if before == after:
        return
    if isinstance(before, msgspec.Struct) and type(before) is type(after):
        for name in before.__struct_fields__:
            yield from differences(getattr(before, name), getattr(after, name), f"{place}.{name}".lstrip("."))
    elif isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from differences(*pair, f"{place}[{index}]")
    elif isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            yield from differences(before.get(name), after.get(name), f"{place}.{name}")
    else:
        yield place


def same(request: Request) -> Request:
    return request


def everything(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return messages


# Anthropic and Responses


def pictured(messages: tuple[Message, ...], detail: bool) -> Iterator[Message]:
    """Turns without names and sound."""
    for message in messages:
        parts: list[Part] = [part for part in message.parts if not isinstance(part, Audio)]
        if not detail:
            parts = [structs.replace(part, detail="") if isinstance(part, Image) else part for part in parts]
        yield structs.replace(message, parts=tuple(parts), name="")


def of_anthropic(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    kept = tuple(pictured(messages, detail=False))
    return kept if any(message.role != "system" for message in kept) else ()


def for_anthropic(request: Request) -> Request:
    shown = (request.return_reasoning is not False) if request.thinking else None
    return structs.replace(
        request,
        include_usage=request.stream,
        return_reasoning=shown,
        parallel_tool_calls=None if request.tool_choice == "none" else request.parallel_tool_calls,
        sampling=structs.replace(request.sampling, max_tokens=request.sampling.max_tokens or 1),
    )


def of_responses(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Turns of the model's that follow each other would be one."""
    kept = list(pictured(messages, detail=True))
    return tuple(kept[:1]) + tuple(
        this for before, this in pairwise(kept) if (before.role, this.role) != ("assistant", "assistant")
    )


def for_responses(request: Request) -> Request:
    """An effort of thinking also brings thoughts back; without one they are brought back or nothing is said."""
    shown = None if request.thinking is False else True if request.thinking else request.return_reasoning or None
    limit = request.sampling.max_tokens or None
    sampling = structs.replace(request.sampling, max_tokens=limit)
    return structs.replace(request, include_usage=request.stream, return_reasoning=shown, sampling=sampling)


# Ollama


def of_ollama(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(
        structs.replace(message, parts=(*_bitmaps(message), *_texts(message)[:1]), name="") for message in messages
    )


def _texts(message: Message) -> list[Text]:
    return [part for part in message.parts if isinstance(part, Text) and part.text]


def _bitmaps(message: Message) -> list[Image]:
    """Those that say themselves what they are."""
    known = {kind: start for start, kind in IMAGES}
    found = [part for part in message.parts if isinstance(part, Image) and not part.url]
    return [structs.replace(part, detail="") for part in found if part.data.startswith(known[part.media_type])]


def for_ollama(request: Request) -> Request:
    shown = True if request.thinking else None
    tools = tuple(structs.replace(tool, strict=False) for tool in request.tools)
    return structs.replace(request, include_usage=request.stream, return_reasoning=shown, tools=tools)


def ollama(request: Request) -> bytes:
    drawn = request.sampling
    options: dict[str, Any] = {
        **{name: getattr(drawn, name) for name in ("temperature", "top_p", "top_k", "seed", *PENALTIES)},
        "num_predict": drawn.max_tokens,
        "stop": list(drawn.stop),
        **drawn.extra,
    }
    said: dict[str, Any] = {"model": request.model, "stream": request.stream, "options": options}
    if request.prompt is not None:
        return json.dumps({**said, "prompt": request.prompt, "raw": True}).encode()
    said["messages"] = [_turn(message) for message in request.messages]
    said["think"] = request.thinking
    said["format"] = "json" if request.schema == {} else request.schema
    said["tools"] = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in request.tools
    ]
    first, *rest = json.dumps(said).split('"RAW')
    return "".join([first, *map(unquoted, rest)]).encode()


def _turn(message: Message) -> dict[str, Any]:
    images = [base64.b64encode(part.data).decode() for part in message.parts if isinstance(part, Image)]
    calls = [
        {"id": call.id, "function": {"name": call.name, "arguments": f"RAW{call.arguments}RAW"}}
        for call in message.tool_calls
    ]
    said = {"content": message.text, "images": images, "tool_calls": calls, "thinking": message.reasoning}
    return {"role": message.role, **said, "tool_call_id": message.tool_call_id}


# text-generation-webui and the simple dialect


AFTER: dict[str, tuple[str, ...]] = {
    "": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user",),
}


def alternating(messages: Iterable[Message], system: bool = False) -> tuple[Message, ...]:
    """Questions and answers, one text each, up to a question; a `system` message may come before."""
    kept: list[Message] = []
    for message in messages:
        texts = _texts(message)
        follows = message.role in AFTER[kept[-1].role if kept else ""]
        if texts and follows and (system or message.role != "system"):
            kept.append(Message(role=message.role, parts=(texts[0],)))
    while kept and kept[-1].role != "user":
        kept.pop()
    return tuple(kept)


def for_textgen(request: Request) -> Request:
    sampling = request.sampling
    extra = {name: value for name, value in sampling.extra.items() if (name, value) != ("mirostat", 0)}
    tokens = 200 if sampling.max_tokens is None else sampling.max_tokens
    return structs.replace(
        request, include_usage=request.stream, sampling=structs.replace(sampling, extra=extra, max_tokens=tokens)
    )


def textgen(request: Request) -> bytes:
    drawn = request.sampling
    theirs = {"repeat_penalty": "repetition_penalty", "mirostat": "mirostat_mode"}
    said: dict[str, Any] = {
        "model": request.model,
        "stream": request.stream,
        **{name: getattr(drawn, name) for name in ("temperature", "top_p", "top_k", "seed", *PENALTIES)},
        "max_new_tokens": drawn.max_tokens,
        "stopping_strings": list(drawn.stop),
        **{theirs.get(name, name): value for name, value in drawn.extra.items()},
    }
    if request.prompt is not None:
        return json.dumps({**said, "prompt": request.prompt}).encode()
    system, pairs, question = _pairs(request.messages)
    said |= {"mode": "instruct", "context_instruct": system, "user_input": question}
    return json.dumps({**said, "history": {"internal": pairs, "visible": pairs}}).encode()


def _pairs(messages: tuple[Message, ...]) -> tuple[str, list[tuple[str, str]], str]:
    begins = messages[0].role == "system"
    texts = [message.text for message in messages[begins:]]
    return messages[0].text if begins else "", list(zip(texts[:-1:2], texts[1::2], strict=True)), texts[-1]


def for_simple(request: Request) -> Request:
    sampling = structs.replace(request.sampling, max_tokens=request.sampling.max_tokens or None)
    return structs.replace(request, include_usage=False, sampling=sampling)


def simple(request: Request) -> bytes:
    _, pairs, question = _pairs(request.messages)
    drawn = request.sampling
    said = {"model": request.model, "prompt": question, "history": pairs, "stream": request.stream}
    limits = {"max_length": drawn.max_tokens, "temperature": drawn.temperature, "top_p": drawn.top_p}
    return json.dumps({**said, **limits}).encode()


TONGUES = (
    Tongue(
        "openai",
        EVERYTHING,
        set(Sampling.__struct_fields__),
        everything,
        same,
        openai,
        ("/v1/chat/completions", "/v1/completions"),
    ),
    Tongue(
        "anthropic",
        COMMON | OFTEN,
        DRAWN | {"top_k", "stop"},
        of_anthropic,
        for_anthropic,
        anthropic,
        ("/v1/messages", ""),
        set(),
    ),
    Tongue("responses", COMMON | OFTEN, DRAWN, of_responses, for_responses, responses, ("/v1/responses", ""), set()),
    Tongue(
        "ollama",
        COMMON | {"prompt", "tools", "schema", "thinking", "return_reasoning"},
        DRAWN | PENALTIES | {"top_k", "seed", "stop"},
        of_ollama,
        for_ollama,
        ollama,
        ("/api/chat", "/api/generate"),
        LLAMACPP,
    ),
    Tongue(
        "textgen",
        COMMON | {"prompt"},
        DRAWN | PENALTIES | {"top_k", "seed", "stop"},
        lambda messages: alternating(messages, system=True),
        for_textgen,
        textgen,
        ("/api/v1/chat", "/api/v1/generate"),
        LLAMACPP,
    ),
    Tongue("simple", COMMON, DRAWN, alternating, for_simple, simple, ("/chat", ""), set()),
)
