"""The bytes an engine gets: the client's own, untouched, unless a field means something to penjing.

Changed fields are swapped in the raw object; everything else stays byte for byte what the client wrote.
"""

from __future__ import annotations

import msgspec

from penjing.engines.engine import Capabilities
from penjing.gateway.dialects.openai import wire

DROP = object()
SEED_BITS = (1 << 32) - 1


class _Lists(msgspec.Struct):
    """The parts of a body that are changed inside, their elements as they came."""

    messages: list[dict[str, msgspec.Raw]] = []
    tools: list[msgspec.Raw] | None = None


_LISTS = msgspec.json.Decoder(_Lists)
RAW_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def for_engine(body: bytes, parsed: wire.AnyBody, model: Capabilities) -> bytes:
    """`body` as the engine of `model` should get it."""
    changes = _changes(body, parsed, model)
    return replaced(body, changes) if changes else body


def replaced(body: bytes, changes: dict[str, object]) -> bytes:
    """`body` with top-level fields set to new values, or left out where the value is DROP."""
    fields: dict[str, object] = dict(RAW_OBJECT.decode(body))
    for name, value in changes.items():
        if value is DROP:
            fields.pop(name, None)
        else:
            fields[name] = value
    return msgspec.json.encode(fields)


def _changes(body: bytes, parsed: wire.AnyBody, model: Capabilities) -> dict[str, object]:
    changes: dict[str, object] = {}
    if parsed.model != model.model:
        changes["model"] = model.model
    if isinstance(parsed, wire.RerankBody) and any(isinstance(each, wire.Document) for each in parsed.documents):
        changes["documents"] = parsed.plain  # engines take texts
    if isinstance(parsed, wire.Weighing):
        return changes
    if parsed.lora is not None or model.weights:
        changes["lora"] = _lora(parsed.lora, model)
    if parsed.seed is not None and not 0 <= parsed.seed <= SEED_BITS:
        changes["seed"] = parsed.seed & SEED_BITS  # engines take 32 bits, OpenAI's clients may send 64
    if isinstance(parsed, wire.ChatBody):
        _template(parsed, changes)
        _tools(body, parsed, changes)
        if any(message.role == "developer" for message in parsed.messages):
            messages = _LISTS.decode(body).messages
            changes["messages"] = [_plain(message) for message in messages]
    return changes


def _lora(asked: list[wire.LoraScale] | None, model: Capabilities) -> list[dict[str, object]]:
    """Adapters by the ids that llama.cpp knows them by; one that is left out does nothing."""
    if asked is None:
        return [{"id": number, "scale": weight} for number, weight in enumerate(model.weights)]
    names = [name for name, _ in model.adapters]
    return [{"id": names.index(each.name) if each.name else each.id, "scale": each.scale} for each in asked]


def _template(parsed: wire.ChatBody, changes: dict[str, object]) -> None:
    """`enable_thinking`, `reasoning_effort` and `return_reasoning` in the words of chat templates and the engine."""
    switches: dict[str, object] = {}
    if parsed.reasoning_effort is not None:
        switches["reasoning_effort"] = parsed.reasoning_effort
        switches["enable_thinking"] = parsed.reasoning_effort != "none"
        changes["reasoning_effort"] = DROP
    if parsed.enable_thinking is not None:
        switches["enable_thinking"] = parsed.enable_thinking
        changes["enable_thinking"] = DROP
    merged = {**switches, **(parsed.chat_template_kwargs or {})}
    if switches:
        changes["chat_template_kwargs"] = merged
    if parsed.return_reasoning is not None:
        changes["return_reasoning"] = DROP
        changes["reasoning_format"] = "auto"
    elif parsed.reasoning_format is None and "enable_thinking" in merged:
        # Thoughts that were asked for stay in the content; the empty block that a template writes to prevent them goes.
        changes["reasoning_format"] = "none" if merged["enable_thinking"] else "auto"


def _tools(body: bytes, parsed: wire.ChatBody, changes: dict[str, object]) -> None:
    """A named tool is the only one offered, and required: engines know no other way to force it."""
    if isinstance(parsed.tool_choice, wire.NamedTool):
        wanted = parsed.tool_choice.function.name
        pairs = zip(_LISTS.decode(body).tools or (), parsed.tools or (), strict=True)
        changes["tools"] = [raw for raw, tool in pairs if tool.function.name == wanted]
        changes["tool_choice"] = "required"


def _plain(message: dict[str, msgspec.Raw]) -> dict[str, object]:
    # Chat templates know no developer; OpenAI's older word for it is system.
    developer = msgspec.json.decode(message["role"]) == "developer"
    return {**message, "role": "system"} if developer else dict(message)
