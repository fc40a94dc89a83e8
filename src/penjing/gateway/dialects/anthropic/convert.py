"""Anthropic's bodies in the internal form.

What has no like there is refused by name; what the field's words differ in is said here, one function each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from penjing.errors import InvalidRequest
from penjing.gateway.dialects.anthropic import wire
from penjing.gateway.dialects.openai.body import CHOICES
from penjing.gateway.dialects.openai.convert import decoded
from penjing.gateway.dialects.openai.wire import Wire
from penjing.messages import Image, Message, Part, Request, Sampling, Text, Tool, ToolCall

FAILED = "Error: "
"""Before the answer of a tool that failed: chat templates know no other way to tell the model."""
PLACE: dict[type[Wire], int] = {wire.Thinking: 0, wire.Text: 1, wire.ToolUse: 2}
"""In which order an assistant's turn says things, in the internal form as in chat templates."""


def request(body: wire.Prompt) -> Request:
    """`body` in the internal form. Raises InvalidRequest."""
    thinking = body.thinking
    schema = _schema(body)
    common: dict[str, Any] = {}
    if isinstance(body, wire.MessagesBody):
        common["stream"] = common["include_usage"] = bool(body.stream)
        common["user"] = (body.metadata.user_id if body.metadata else None) or ""
    return Request(
        model=body.model,
        messages=tuple(_messages(body)),
        tools=tuple(_tool(tool) for tool in body.tools or ()),
        tool_choice=_choice(body.tool_choice),
        parallel_tool_calls=_parallel(body.tool_choice),
        schema=schema,
        sampling=_sampling(body),
        thinking=None if thinking is None else not isinstance(thinking, wire.ThinkingDisabled),
        return_reasoning=_shown(thinking),
        **common,
    )


def _messages(body: wire.Prompt) -> Iterator[Message]:
    if body.system:
        yield Message(role="system", parts=_texts(body.system))
    for index, message in enumerate(body.messages):
        place = f"messages[{index}].content"
        content = message.content
        blocks: list[wire.Block] = [wire.Text(content)] if isinstance(content, str) else content
        if message.role == "assistant":
            yield from _assistant(blocks, place)
        elif message.role == "user":
            yield from _user(blocks, place)
        else:
            yield Message(role="system", parts=tuple(_system(blocks, place)))


def _texts(said: str | list[wire.Text]) -> tuple[Part, ...]:
    return (Text(text=said),) if isinstance(said, str) else tuple(Text(text=block.text) for block in said)


def _system(blocks: list[wire.Block], place: str) -> Iterator[Text]:
    for index, block in enumerate(blocks):
        if not isinstance(block, wire.Text):
            raise _misplaced(block, "system", f"{place}[{index}]")
        yield Text(text=block.text)


def _user(blocks: list[wire.Block], place: str) -> Iterator[Message]:
    """A turn of the user's; each answer of a tool in it is a turn of its own, in the order given."""
    parts: list[Part] = []
    answered = False
    for index, block in enumerate(blocks):
        if isinstance(block, wire.Text | wire.Image):
            parts.append(_part(block, f"{place}[{index}]"))
        elif isinstance(block, wire.ToolResult):
            answered = True
            if parts:
                yield Message(role="user", parts=tuple(parts))
                parts = []
            yield Message(role="tool", parts=_result(block, f"{place}[{index}]"), tool_call_id=block.tool_use_id)
        else:
            raise _misplaced(block, "user", f"{place}[{index}]")
    if parts or not answered:
        yield Message(role="user", parts=tuple(parts))


def _part(block: wire.Text | wire.Image, place: str) -> Part:
    if isinstance(block, wire.Text):
        return Text(text=block.text)
    source = block.source
    if isinstance(source, wire.Url):
        return Image(url=source.url)
    return Image(data=decoded(source.data, f"{place}.source.data"), media_type=source.media_type)


def _result(block: wire.ToolResult, place: str) -> tuple[Part, ...]:
    content = block.content
    if isinstance(content, list):
        parts = [_part(part, f"{place}.content[{index}]") for index, part in enumerate(content)]
    else:
        parts = [Text(text=content)] if content else []
    if block.is_error:
        first = parts[0] if parts else None
        text, rest = (first.text, parts[1:]) if isinstance(first, Text) else ("", parts)
        parts = [Text(text=FAILED + text), *rest]
    return tuple(parts)


def _assistant(blocks: list[wire.Block], place: str) -> Iterator[Message]:
    """A turn of the model's, which thinks, speaks, calls tools. What it wrote in another order is several turns."""
    turn: list[wire.Block] = []
    for index, block in enumerate(blocks):
        if type(block) not in PLACE:
            raise _misplaced(block, "assistant", f"{place}[{index}]")
        if turn and PLACE[type(block)] < PLACE[type(turn[-1])]:
            yield _turn(turn, place)
            turn = []
        turn.append(block)
    yield _turn(turn, place)


def _turn(blocks: list[wire.Block], place: str) -> Message:
    return Message(
        role="assistant",
        parts=tuple(Text(text=block.text) for block in blocks if isinstance(block, wire.Text)),
        reasoning="".join(block.thinking for block in blocks if isinstance(block, wire.Thinking)),
        tool_calls=tuple(_call(block, place) for block in blocks if isinstance(block, wire.ToolUse)),
    )


def _call(block: wire.ToolUse, place: str) -> ToolCall:
    arguments = bytes(block.input).decode()
    if not arguments.startswith("{"):
        raise InvalidRequest(detail=f"{place}: the input of tool_use '{block.id}' is not an object.", param=place)
    return ToolCall(id=block.id, name=block.name, arguments=arguments)


def _misplaced(block: wire.Block, role: str, place: str) -> InvalidRequest:
    kind = block.__struct_config__.tag
    return InvalidRequest(detail=f"{place}: a {role} message cannot hold a '{kind}' block.", param=place)


def _tool(tool: wire.Tool) -> Tool:
    return Tool(
        name=tool.name,
        description=tool.description or "",
        parameters=tool.input_schema,
        strict=bool(tool.strict),
    )


def _choice(choice: Wire | None) -> str:
    if isinstance(choice, wire.ChooseTool):
        if choice.name in CHOICES:
            raise InvalidRequest(
                detail=f"tool_choice: a tool named '{choice.name}' cannot be demanded.", param="tool_choice"
            )
        return choice.name
    if isinstance(choice, wire.ChooseAny):
        return "required"
    return "none" if isinstance(choice, wire.ChooseNone) else "auto"


def _parallel(choice: Wire | None) -> bool | None:
    disabled = getattr(choice, "disable_parallel_tool_use", None)
    return None if disabled is None else not disabled


def _schema(body: wire.Prompt) -> dict[str, object] | None:
    wanted = body.output_config.format if body.output_config else None
    if wanted is not None and body.output_format is not None:
        raise InvalidRequest(detail="output_format: output_config.format says it already.", param="output_format")
    wanted = wanted or body.output_format
    return wanted.schema if wanted is not None else None


def _shown(thinking: Wire | None) -> bool | None:
    """Whether thinking comes back. A summary of it nobody writes here, so it comes whole."""
    if thinking is None or isinstance(thinking, wire.ThinkingDisabled):
        return None
    return getattr(thinking, "display", None) != "omitted"


def _sampling(body: wire.Prompt) -> Sampling:
    extra: dict[str, object] = {}
    if isinstance(body.thinking, wire.ThinkingEnabled):
        extra["thinking_budget_tokens"] = body.thinking.budget_tokens
    if body.output_config and body.output_config.effort:
        # not `reasoning_effort`, which also switches thinking on
        extra["chat_template_kwargs"] = {"reasoning_effort": body.output_config.effort}
    if not isinstance(body, wire.MessagesBody):
        return Sampling(extra=extra)
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        max_tokens=body.max_tokens,
        stop=tuple(body.stop_sequences or ()),
        extra=extra,
    )
