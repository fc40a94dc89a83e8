"""text-generation-webui's bodies in the internal form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from penjing.errors import InvalidRequest, Unsupported
from penjing.gateway.dialects.openai.wire import names
from penjing.gateway.dialects.textgen.wire import NEUTRAL, GenerateBody, Generation, History, TalkBody
from penjing.messages import Message, Request, Role, Sampling, Text

DEFAULT_TOKENS = 200
"""What its server writes where a client does not say."""
BEGIN = "<|BEGIN-VISIBLE-CHAT|>"
"""Its mark for an answer that nobody asked for: a character's greeting."""
NOBODY = frozenset({"", "None", "Example", "Assistant"})
"""Characters of its examples, which are none."""
HERE = "This server"


def request(body: GenerateBody | TalkBody, stream: bool) -> Request:
    """`body` in the internal form. Raises Unsupported, InvalidRequest."""
    _require_neutral(body)
    common: dict[str, Any] = {
        "model": body.model,
        "sampling": _sampling(body),
        "stream": stream,
        "include_usage": stream,
    }
    if isinstance(body, GenerateBody):
        return Request(prompt=body.prompt, **common)
    if body.mode not in (None, "instruct") and (body.character or "") not in NOBODY:
        raise Unsupported(feature="characters (use 'context')", model=HERE, param="character")
    return Request(messages=tuple(_messages(body)), **common)


def asked(body: TalkBody) -> tuple[History, str]:
    """What was said before, and what is to be answered now. Raises InvalidRequest where nothing can be done again."""
    if not body.regenerate:
        return body.history, body.user_input
    if not body.history.internal:
        raise InvalidRequest(detail="regenerate: the history is empty.", param="regenerate")
    *before, (said, _) = body.history.internal
    return History(before, body.history.visible[: len(before)]), said


def _messages(body: TalkBody) -> Iterator[Message]:
    history, question = asked(body)
    system = body.context_instruct if body.mode in (None, "instruct") else body.context
    if system:
        yield _said("system", system)
    for said, answer in history.internal:
        if said and said != BEGIN:
            yield _said("user", said)
        if answer:
            yield _said("assistant", answer)
    yield _said("user", question)


def _said(role: Role, text: str) -> Message:
    return Message(role=role, parts=(Text(text=text),))


def _sampling(body: Generation) -> Sampling:
    greedy = body.do_sample is False
    stop = body.custom_stopping_strings
    extra = {
        "min_p": body.min_p,
        "typical_p": _first(body.typical_p, body.typical),
        "repeat_penalty": _first(body.repetition_penalty, body.rep_pen),
        "repeat_last_n": body.repetition_penalty_range or None,
        "mirostat": body.mirostat_mode or None,
        "mirostat_tau": body.mirostat_tau if body.mirostat_mode else None,
        "mirostat_eta": body.mirostat_eta if body.mirostat_mode else None,
        "ignore_eos": body.ban_eos_token or None,
        "grammar": body.grammar_string or None,
    }
    return Sampling(
        temperature=0.0 if greedy else body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        seed=None if body.seed == -1 else body.seed,
        max_tokens=_first(body.max_new_tokens, body.max_length, DEFAULT_TOKENS),
        stop=(*(body.stopping_strings or ()), *([stop] if isinstance(stop, str) and stop else stop or ())),
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        extra={name: value for name, value in extra.items() if value is not None},
    )


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _require_neutral(body: Generation) -> None:
    for attribute, name in zip(body.__struct_fields__, names(type(body)), strict=True):
        value = getattr(body, attribute)
        if name in NEUTRAL and value is not None and value not in NEUTRAL[name]:
            raise Unsupported(feature=f"'{name}'", model=HERE, param=name)
