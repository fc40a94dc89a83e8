"""Bodies of the Responses API in the internal form: a flat list of items as turns of a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from penjing.errors import InvalidRequest, Unsupported
from penjing.gateway.dialects.hosted import HERE
from penjing.gateway.dialects.openai.body import CHOICES
from penjing.gateway.dialects.openai.convert import image
from penjing.gateway.dialects.openai.wire import Wire
from penjing.gateway.dialects.responses import wire
from penjing.gateway.dialects.responses.items import kind
from penjing.messages import Message, Part, Request, Role, Sampling, Text, Tool, ToolCall

ORDER = {"reasoning": 0, "message": 1, "function_call": 2}
"""In which order an assistant's turn says things; of messages it has one."""


class Truncation(Unsupported):
    """Facts: none."""

    template = "This server does not know truncation 'auto'."
    hint = "Send the header 'x-penjing-context: truncate' for the same."


def request(body: wire.Asked, items: list[wire.Item]) -> Request:
    """`body` in the internal form; `items` is all that was said, earlier answers among it, references resolved.
    Raises InvalidRequest, Unsupported."""
    if body.truncation == "auto":
        raise Truncation(param="truncation")
    instructions = [Message(role="system", parts=(Text(text=body.instructions),))] if body.instructions else []
    messages = (*instructions, *turns(items))
    if not messages:
        raise InvalidRequest(detail="input: it is empty.", param="input")
    common: dict[str, Any] = {}
    if isinstance(body, wire.ResponsesBody):
        _refuse(body)
        common["stream"] = common["include_usage"] = bool(body.stream)
        common["user"] = body.user or ""
    effort = body.reasoning.effort if body.reasoning else None
    return Request(
        model=body.model,
        messages=messages,
        tools=tuple(_tools(body)),
        tool_choice=_choice(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls,
        schema=_schema(body.text),
        sampling=_sampling(body),
        thinking=False if effort == "none" else None,
        return_reasoning=True if body.reasoning and effort != "none" else None,
        **common,
    )


def _refuse(body: wire.ResponsesBody) -> None:
    if body.background:
        raise Unsupported(feature="answers in the background ('background')", model=HERE, param="background")
    if body.stream_options and body.stream_options.include_obfuscation:
        raise Unsupported(feature="'include_obfuscation'", model=HERE, param="stream_options")


def turns(items: Iterable[wire.Item]) -> Iterator[Message]:
    """Turns of a conversation. Thoughts, a message and calls that follow each other are one turn of the model's."""
    own: list[wire.Item] = []
    for item in items:
        its = kind(item)
        spoken = its in ORDER and (its != "message" or item.role == "assistant")
        if own and (not spoken or ORDER[its] < ORDER[kind(own[-1])] or its == kind(own[-1]) == "message"):
            yield _assistant(own)
            own = []
        if spoken:
            own.append(item)
        elif its == "function_call_output":
            yield Message(role="tool", parts=_parts(item.output), tool_call_id=item.call_id or "")
        else:
            role: Role = "system" if item.role == "developer" else item.role or "user"
            yield Message(role=role, parts=_parts(item.content))
    if own:
        yield _assistant(own)


def _assistant(items: list[wire.Item]) -> Message:
    return Message(
        role="assistant",
        parts=tuple(part for item in items if kind(item) == "message" for part in _parts(item.content)),
        reasoning="".join(_thought(item) for item in items if kind(item) == "reasoning"),
        tool_calls=tuple(
            ToolCall(id=item.call_id or "", name=item.name or "", arguments=item.arguments or "")
            for item in items
            if kind(item) == "function_call"
        ),
    )


def _thought(item: wire.Item) -> str:
    """The thoughts themselves, where they are there; else their summary."""
    if isinstance(item.content, str):
        return item.content
    texts = [part.text for part in item.content or () if isinstance(part, wire.ReasoningText)]
    return "".join(texts or (part.text for part in item.summary or ()))


def _parts(content: str | list[Any] | None) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(text=content),) if content else ()
    return tuple(_part(part) for part in content or ())


def _part(part: Wire) -> Part:
    if isinstance(part, wire.InputImage):
        return image(part.image_url, part.detail)
    if isinstance(part, wire.Refusal):
        return Text(text=part.refusal)
    if isinstance(part, wire.InputText | wire.OutputText):
        return Text(text=part.text)
    raise InvalidRequest(detail="input: 'reasoning_text' is only part of a reasoning item.", param="input")


def _tools(body: wire.Asked) -> Iterator[Tool]:
    choice = body.tool_choice
    allowed = {tool.name for tool in choice.tools} if isinstance(choice, wire.AllowedTools) else None
    known = {tool.name for tool in body.tools or ()}
    if allowed is not None and not allowed <= known:
        missing = ", ".join(sorted(allowed - known))
        raise InvalidRequest(detail=f"tool_choice: no tool is named '{missing}'.", param="tool_choice")
    for tool in body.tools or ():
        if allowed is None or tool.name in allowed:
            yield Tool(
                name=tool.name,
                description=tool.description or "",
                parameters=tool.parameters or {},
                strict=bool(tool.strict),
            )


def _choice(choice: str | Wire | None) -> str:
    if isinstance(choice, wire.AllowedTools):
        return choice.mode
    if isinstance(choice, wire.NamedFunction):
        if choice.name in CHOICES:
            detail = f"tool_choice: a tool named '{choice.name}' cannot be demanded."
            raise InvalidRequest(detail=detail, param="tool_choice")
        return choice.name
    return choice if isinstance(choice, str) else "auto"


def _schema(text: wire.TextConfig | None) -> dict[str, object] | None:
    wanted = text.format if text else None
    if isinstance(wanted, wire.SchemaFormat):
        return wanted.schema
    return {} if isinstance(wanted, wire.ObjectFormat) else None


def _sampling(body: wire.Asked) -> Sampling:
    extra: dict[str, object] = {}
    if body.reasoning and body.reasoning.effort not in (None, "none"):
        extra["reasoning_effort"] = body.reasoning.effort
    if body.text and body.text.verbosity:
        extra["verbosity"] = body.text.verbosity
    if not isinstance(body, wire.ResponsesBody):
        return Sampling(extra=extra)
    return Sampling(temperature=body.temperature, top_p=body.top_p, max_tokens=body.max_output_tokens, extra=extra)
