"""Ollama's bodies in the internal form.

Its tool calls need no names of their own: a result that names none belongs to the first call of its tool that has no
result yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from penjing.errors import InvalidRequest, Unsupported
from penjing.gateway.dialects.ollama import wire
from penjing.gateway.dialects.openai.convert import decoded
from penjing.messages import Image, Message, Part, Request, Sampling, Text, Tool, ToolCall

HERE = "This server"
LATEST = ":latest"
SPAN = re.compile(r"(-?\d+(?:\.\d+)?)(ms|s|m|h)")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
IMAGES = ((b"\x89PNG", "image/png"), (b"\xff\xd8", "image/jpeg"), (b"GIF8", "image/gif"), (b"RIFF", "image/webp"))
"""How images begin: Ollama's clients send bytes without their type."""


def plain(model: str) -> str:
    """A model's name without the tag that Ollama's clients add."""
    return model.removesuffix(LATEST)


def request(body: wire.OllamaChat | wire.OllamaGenerate) -> Request:
    """`body` in the internal form. Raises InvalidRequest, Unsupported."""
    stream = body.stream is not False
    common: dict[str, Any] = {
        "model": plain(body.model),
        "sampling": _sampling(body),
        "stream": stream,
        "include_usage": stream,
    }
    if isinstance(body, wire.OllamaGenerate):
        _require_plain(body)
        if body.raw:
            return Request(prompt=body.prompt, **common)
        messages = tuple(_generated(body))
        tools: tuple[Tool, ...] = ()
    else:
        messages = tuple(_turns(body.messages))
        tools = tuple(_tool(tool) for tool in body.tools or ())
    thinking = None if body.think is None else body.think is not False
    schema = body.format if isinstance(body.format, dict) else {} if body.format == "json" else None
    return Request(
        messages=messages,
        tools=tools,
        schema=schema,
        thinking=thinking,
        return_reasoning=True if thinking else None,
        **common,
    )


def _require_plain(body: wire.OllamaGenerate) -> None:
    for name in ("suffix", "template"):
        if getattr(body, name):
            raise Unsupported(feature=f"'{name}'", model=HERE, param=name)
    if body.context:
        raise Unsupported(feature="'context' (use /api/chat with messages)", model=HERE, param="context")
    if body.raw and (body.system or body.images or body.format or body.think):
        raise InvalidRequest(detail="raw: only a prompt goes with it.", param="raw")


def _generated(body: wire.OllamaGenerate) -> Iterator[Message]:
    if body.system:
        yield Message(role="system", parts=(Text(text=body.system),))
    yield Message(role="user", parts=_parts(body.prompt, body.images, "images"))


def _turns(turns: list[wire.Turn]) -> Iterator[Message]:
    waiting: list[ToolCall] = []
    for index, turn in enumerate(turns):
        place = f"messages[{index}]"
        calls = tuple(_call(call, f"call_{index}_{number}") for number, call in enumerate(turn.tool_calls or ()))
        waiting += calls
        answers = _answered(turn, waiting, place) if turn.role == "tool" else ""
        yield Message(
            role=turn.role,
            parts=_parts(turn.content, turn.images, f"{place}.images"),
            reasoning=turn.thinking or "",
            tool_calls=calls,
            tool_call_id=answers,
        )


def _answered(turn: wire.Turn, waiting: list[ToolCall], place: str) -> str:
    """The call that a tool's message answers."""
    for call in waiting:
        if turn.tool_call_id == call.id or (not turn.tool_call_id and turn.tool_name in (None, "", call.name)):
            waiting.remove(call)
            return call.id
    if turn.tool_call_id:
        return turn.tool_call_id
    raise InvalidRequest(detail=f"{place}: no call of the tool '{turn.tool_name}' waits for a result.", param=place)


def _parts(text: str, images: list[str] | None, place: str) -> tuple[Part, ...]:
    found: list[Part] = [_image(data, f"{place}[{index}]") for index, data in enumerate(images or ())]
    return (*found, Text(text=text)) if text else tuple(found)


def _image(text: str, place: str) -> Image:
    data = decoded(text, place)
    kind = next((kind for start, kind in IMAGES if data.startswith(start)), None)
    if kind is None:
        raise InvalidRequest(detail=f"{place}: this is no PNG, JPEG, GIF or WebP image.", param=place)
    return Image(data=data, media_type=kind)


def _call(call: wire.ToolCall, name: str) -> ToolCall:
    return ToolCall(id=call.id or name, name=call.function.name, arguments=bytes(call.function.arguments).decode())


def _tool(tool: wire.Tool) -> Tool:
    function = tool.function
    return Tool(name=function.name, description=function.description or "", parameters=function.parameters or {})


def _sampling(body: wire.Asked) -> Sampling:
    options = body.options
    for name, neutral in (("tfs_z", 1), ("penalize_newline", True)):
        if getattr(options, name) not in (None, neutral):
            raise Unsupported(feature=f"'options.{name}'", model=HERE, param=f"options.{name}")
    for name in ("logprobs", "top_logprobs"):
        if getattr(body, name):
            raise Unsupported(feature=f"'{name}' in this dialect (use /v1/chat/completions)", model=HERE, param=name)
    longest = options.num_predict
    # not `reasoning_effort`, which also switches thinking on where the model's template knows no effort
    effort = {"chat_template_kwargs": {"reasoning_effort": body.think}} if isinstance(body.think, str) else {}
    extra = {
        name: getattr(options, name)
        for name in (
            "min_p",
            "typical_p",
            "repeat_last_n",
            "repeat_penalty",
            "mirostat",
            "mirostat_tau",
            "mirostat_eta",
        )
    }
    return Sampling(
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        seed=options.seed,
        max_tokens=longest if longest is not None and longest >= 0 else None,
        stop=(options.stop,) if isinstance(options.stop, str) else tuple(options.stop or ()),
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        extra={
            **{name: value for name, value in extra.items() if value is not None},
            **({"n_keep": options.num_keep} if options.num_keep is not None else {}),
            **effort,
        },
    )


def seconds(keep_alive: str | float | None) -> float | None:
    """How long a model shall stay loaded after an answer; None where nothing was said, infinity for ever. Raises
    InvalidRequest."""
    if keep_alive is None or keep_alive == "":
        return None
    if isinstance(keep_alive, str):
        found = SPAN.findall(keep_alive)
        if re.fullmatch(r"-?\d+(\.\d+)?", keep_alive):
            keep_alive = float(keep_alive)
        elif "".join(number + unit for number, unit in found) == keep_alive:
            keep_alive = sum(float(number) * SECONDS[unit] for number, unit in found)
        else:
            raise InvalidRequest(detail=f"keep_alive: '{keep_alive[:32]}' is no time such as 5m.", param="keep_alive")
    return float("inf") if keep_alive < 0 else float(keep_alive)
