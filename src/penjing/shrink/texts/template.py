"""A chat template around the turns of a conversation, rendered as transformers renders it (`apply_chat_template`:
sandboxed Jinja, blocks trimmed, loop controls).

Does not know: models, tokens.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from penjing.errors import ModelError
from penjing.shrink.texts.text import Turn

if TYPE_CHECKING:
    from jinja2 import Template

QUIET = {"enable_thinking": False}


class TemplateRefuses(ModelError):
    """Facts: `detail`."""

    template = "The model's chat template cannot be put around a conversation: {detail}"
    hint = "Give prose (a .txt file) instead of conversations."
    code = "template_refuses"


def render(template: str, turns: Sequence[Turn], *, bos: str = "", eos: str = "", answer: bool = False) -> str:
    """The words that the model reads. With `answer` they end where its answer begins. A template that knows no system
    message gets it within the first question. Raises TemplateRefuses."""
    from jinja2 import TemplateError

    messages = [{"role": turn.role, "content": turn.content} for turn in turns]

    def put(each: list[dict[str, str]]) -> str:
        page = compiled(template)
        return page.render(messages=each, add_generation_prompt=answer, bos_token=bos, eos_token=eos, **QUIET)

    wrong = (TemplateError, TypeError, ValueError, KeyError, AttributeError)
    try:
        with suppress(*wrong):
            return put(messages)
        return put(_without_system(messages))
    except wrong as error:
        raise TemplateRefuses(detail=str(error)) from error


def _without_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    if len(messages) < 2 or messages[0]["role"] != "system":
        return messages
    first = {**messages[1], "content": messages[0]["content"] + "\n\n" + messages[1]["content"]}
    return [first, *messages[2:]]


@functools.lru_cache(maxsize=8)
def compiled(template: str) -> Template:
    """The template, ready to be rendered. Raises jinja2's TemplateError."""
    from jinja2.exceptions import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    rendering = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])

    def refuse(detail: str) -> None:
        raise TemplateError(detail)

    def plain(value: Any, **more: Any) -> str:
        return json.dumps(value, ensure_ascii=False, **more)

    rendering.globals["raise_exception"] = refuse
    rendering.filters["tojson"] = plain
    return rendering.from_string(template)
