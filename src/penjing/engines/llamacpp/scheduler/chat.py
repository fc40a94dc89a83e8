"""Conversations to prompts: the model's own chat template, rendered as transformers renders it.

Does not know: tokens, HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from penjing.errors import InvalidRequest
from penjing.native.model import Model

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE = (
    "{%- for message in messages -%}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|im_start|>assistant\n{%- endif -%}"
)
"""ChatML, for models that bring none, as llama.cpp does."""
Message = dict[str, Any]


class Chat:
    """The template of `model`. `defaults` are the words it is given where a request says nothing."""

    def __init__(self, model: Model, defaults: Mapping[str, object] | None = None) -> None:
        self.source = model.chat_template() or TEMPLATE
        self._defaults = dict(defaults or {})
        self._marks = {name + "_token": mark(model, name) for name in ("bos", "eos")}

    @cached_property
    def _page(self) -> Template:
        return page(self.source)

    def ready(self) -> None:
        """Compile the template now, which takes a while; what is wrong with it is told to whoever asks."""
        with suppress(InvalidRequest):
            _ = self._page

    def prompt(
        self,
        messages: Sequence[Message],
        words: Mapping[str, object] | None = None,
        *,
        tools: Sequence[Message] = (),
        generate: bool = True,
    ) -> str:
        """The text that the model goes on from; it may call `tools`. The last message may be the assistant's: then that
        is gone on with. Raises InvalidRequest for what the template refuses."""
        from jinja2 import TemplateError

        plainly = [plain(message) for message in messages]
        begun = plainly.pop()["content"] if generate and plainly[-1].get("role") == "assistant" else ""
        given = {**self._marks, **self._defaults, **(words or {})}
        given |= {"tools": tools or None, "add_generation_prompt": generate}
        try:
            text = self._rendered(plainly, given)
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise InvalidRequest(detail=f"The model's chat template refuses these messages: {error}") from None
        return text + str(begun)

    def _rendered(self, messages: Sequence[Message], given: Mapping[str, object]) -> str:
        """Some templates want the arguments of calls as objects, others as text."""
        try:
            return self._page.render(messages=messages, **given)
        except TypeError:
            return self._page.render(messages=[closed(message) for message in messages], **given)


def page(source: str) -> Template:
    """A chat template: sandboxed, blocks trimmed (transformers, `apply_chat_template`). Raises InvalidRequest."""
    from jinja2 import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    rendering = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    rendering.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    rendering.globals["raise_exception"] = refuse
    rendering.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        return rendering.from_string(source)
    except TemplateError as error:
        raise InvalidRequest(detail=f"The model's chat template cannot be read: {error}") from None


def refuse(reason: str) -> NoReturn:
    """What templates call for conversations that they do not know. Raises TemplateError."""
    from jinja2 import TemplateError

    raise TemplateError(reason)


def mark(model: Model, name: str) -> str:
    """The text of the special token `name`; empty where there is none."""
    token = model.special(name)
    return "" if token is None else model.piece(token, special=True).decode(errors="replace")


def plain(message: Message) -> Message:
    """`message` with its text as one string, and the arguments of calls as objects. Raises InvalidRequest for pictures
    and sounds."""
    found = dict(message)
    if isinstance(found.get("content"), list):
        kinds = {str(part.get("type", "text")) for part in found["content"]} - {"text", "refusal"}
        if kinds:
            raise InvalidRequest(detail=f"messages: {', '.join(sorted(kinds))} is not read by the scheduler penjing.")
        found["content"] = "\n".join(str(part.get("text", "")) for part in found["content"])
    found["content"] = found.get("content") or ""
    if found.get("tool_calls"):
        found["tool_calls"] = [opened(call) for call in found["tool_calls"]]
    return found


def opened(call: Message) -> Message:
    """A call with its arguments as an object, where they are one in JSON."""
    function = dict(call.get("function") or {})
    with suppress(ValueError, TypeError):
        function["arguments"] = json.loads(function.get("arguments") or "")
    return {**call, "function": function}


def closed(message: Message) -> Message:
    """`message` with the arguments of its calls as text."""
    calls = message.get("tool_calls") or ()
    functions = [dict(call.get("function") or {}) for call in calls]
    for function in functions:
        if not isinstance(function.get("arguments"), str):
            function["arguments"] = json.dumps(function.get("arguments"), ensure_ascii=False)
    pairs = zip(calls, functions, strict=True)
    return {**message, "tool_calls": [{**call, "function": function} for call, function in pairs]} if calls else message
