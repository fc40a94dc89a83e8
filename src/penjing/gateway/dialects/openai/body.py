"""The internal form as OpenAI's body: the inverse of `convert.request`. Questions of other dialects take it."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from penjing.errors import InvalidRequest
from penjing.messages import Audio, Image, Message, Part, Request, Sampling, Text, Tool

CHOICES = ("none", "auto", "required")


def body(request: Request) -> bytes:
    """JSON of a chat completion, or where there is a `prompt`, of a completion. Raises InvalidRequest where a schema in
    it is nested so deeply that it cannot be written."""
    said: dict[str, Any] = {"model": request.model} if request.model else {}
    if request.prompt is not None:
        said["prompt"] = request.prompt
    else:
        said["messages"] = [message(each) for each in request.messages]
    said |= _shared(request)
    if request.prompt is None:
        said |= _chat(request)
    try:
        return msgspec.json.encode(said)
    except RecursionError:
        raise InvalidRequest(detail="The body is nested too deeply.") from None


def _shared(request: Request) -> dict[str, Any]:
    said: dict[str, Any] = sampling(request.sampling, chat=request.prompt is None)
    if request.choices != 1:
        said["n"] = request.choices
    if request.stream:
        said["stream"] = True
        said["stream_options"] = {"include_usage": request.include_usage}
    if request.user:
        said["user"] = request.user
    return said


def _chat(request: Request) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if request.tools:
        said["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice != "auto":
        named = request.tool_choice not in CHOICES
        said["tool_choice"] = _named(request.tool_choice) if named else request.tool_choice
    if request.parallel_tool_calls is not None:
        said["parallel_tool_calls"] = request.parallel_tool_calls
    if request.schema is not None:
        said["response_format"] = _format(request.schema)
    if request.thinking is not None:
        said["enable_thinking"] = request.thinking
    if request.return_reasoning is not None:
        said["return_reasoning"] = request.return_reasoning
    return said


def message(said: Message) -> dict[str, Any]:
    """One turn as OpenAI writes it."""
    turn: dict[str, Any] = {"role": said.role, "content": _content(said)}
    if said.reasoning:
        turn["reasoning_content"] = said.reasoning
    if said.tool_calls:
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in said.tool_calls
        ]
    if said.tool_call_id:
        turn["tool_call_id"] = said.tool_call_id
    if said.name:
        turn["name"] = said.name
    return turn


def _content(said: Message) -> object:
    if not said.parts:
        return None if said.tool_calls else ""
    if len(said.parts) == 1 and isinstance(said.parts[0], Text) and said.parts[0].text:
        return said.parts[0].text
    return [_part(part) for part in said.parts]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Audio):
        return {"type": "input_audio", "input_audio": {"data": _base64(part.data), "format": part.format}}
    return {"type": "image_url", "image_url": _image(part)}


def _image(part: Image) -> dict[str, str]:
    url = part.url or f"data:{part.media_type};base64,{_base64(part.data)}"
    return {"url": url, "detail": part.detail} if part.detail else {"url": url}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters:
        function["parameters"] = tool.parameters
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def _format(schema: dict[str, object]) -> dict[str, Any]:
    if not schema:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def sampling(said: Sampling, *, chat: bool) -> dict[str, Any]:
    """How tokens are drawn, in OpenAI's words; what is not set is left out."""
    fields: dict[str, Any] = {
        "temperature": said.temperature,
        "top_p": said.top_p,
        "top_k": said.top_k,
        "seed": said.seed,
        "max_tokens": said.max_tokens,
        "stop": list(said.stop) or None,
        "presence_penalty": said.presence_penalty,
        "frequency_penalty": said.frequency_penalty,
        "logit_bias": {token: _bias(value) for token, value in said.logit_bias.items()} or None,
    }
    if said.logprobs is not None:
        fields |= {"logprobs": True, "top_logprobs": said.logprobs} if chat else {"logprobs": said.logprobs}
    return {name: value for name, value in fields.items() if value is not None} | said.extra


def _bias(value: float) -> float | bool:
    return False if value == float("-inf") else value
