"""A conversation that is too long for the model, handled as asked: an error, its oldest turns left out, or summed up.

Tokens are counted by the engine itself, and only where the conversation might be too long: one that has fewer bytes
than the model has room for tokens is not counted. The header `x-penjing-context` of a request chooses what is done with
it, that of the answer says what was done. Presets (`conversation/presets.py`) are applied here too.

Does not know: which engine answers (`ask.target`).
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import Annotated, Literal, cast, get_args

from msgspec import Meta

from penjing.errors import ContextOverflow, EngineError, InvalidRequest, Unsupported
from penjing.gateway import count
from penjing.gateway.ask import Ask, Call
from penjing.gateway.conversation import summary
from penjing.gateway.conversation.edit import Edit, with_system
from penjing.gateway.conversation.presets import Preset, preset
from penjing.gateway.conversation.turns import ALWAYS
from penjing.gateway.dialects.openai import wire
from penjing.gateway.house import House
from penjing.gateway.metrics import Counter
from penjing.gateway.policies.policy import Step
from penjing.messages import Event

Mode = Literal["error", "truncate", "summarize"]
HEADER, PRESET = "x-penjing-context", "x-penjing-preset"
AROUND = 16
"""Tokens that a chat template puts around a message, at most; what it says once besides is among those of one more."""
UNCOUNTED = "uncounted"
"""What is told of a limit that was asked for where the engine cannot count."""
ROOM = 0.75
"""Of the context; a new summary leaves out so much that the rest takes no more, so that it serves several turns."""


@dataclass(frozen=True)
class ContextOptions:
    """What is done with conversations that are too long.

    `mode`: `error` refuses them, `truncate` leaves out the oldest turns, `summarize` lets the model sum those up.
    `reserve`: tokens kept free for an answer that has no limit of its own. `summary_tokens`: the longest summary.
    `preset`: the prompt preset used where a request names none. `presets`: more of them, by name.
    """

    mode: Mode = "error"
    reserve: Annotated[int, Meta(ge=1)] = 256
    summary_tokens: Annotated[int, Meta(ge=16)] = 256
    preset: str = ""
    presets: dict[str, Preset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.preset:
            preset(self.preset, self.presets)


class QuestionTooLong(ContextOverflow):
    """Facts: `tokens`, `context`, `reserve` (all in tokens)."""

    template = (
        "Without its older turns the conversation still has {tokens} tokens; the context is {context}, of which "
        "{reserve} are kept for the answer."
    )
    hint = "Shorten the last message, ask for fewer max_tokens, or start with a larger --max-context."


class Context:
    """The policy."""

    def __init__(self, options: ContextOptions, house: House) -> None:
        self._options = options
        self._house = house
        self._summaries = summary.Summaries()
        self._done = Counter("penjing_context_total", "Conversations that were too long, by what was done.", ("done",))
        house.observed.add(self._done)

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        mode = self._mode(ask)
        name = ask.header(PRESET.encode()) or self._options.preset
        if name and isinstance(ask.wire, wire.ChatBody):
            self._apply(preset(name, self._options.presets), ask, ask.wire)
        if (mode != "error" or ask.context) and isinstance(ask.wire, wire.ChatBody):
            await self._fit(ask, ask.wire, mode)
        elif ask.context and isinstance(ask.wire, wire.CompletionBody | wire.EmbeddingBody):
            await self._require_short(ask, ask.wire)
        return await call_next(ask)

    async def _require_short(self, ask: Ask, body: wire.CompletionBody | wire.EmbeddingBody) -> None:
        """Bare texts are never cut: one that is longer than the client allows raises ContextOverflow."""
        given = body.prompt if isinstance(body, wire.CompletionBody) else body.input
        for text in [given] if isinstance(given, str) else given:
            if isinstance(text, str) and len(text.encode()) >= ask.context:
                try:
                    tokens = await count.text_tokens(self._house, ask.target, text, ask.local_only)
                except Unsupported:
                    ask.note(HEADER, UNCOUNTED)
                    return
                if tokens > ask.context:
                    raise ContextOverflow(tokens=tokens, context=ask.context, param="num_ctx")

    def _mode(self, ask: Ask) -> Mode:
        given = ask.header(HEADER.encode())
        if not given:
            return self._options.mode
        if given not in get_args(Mode):
            raise InvalidRequest(detail=f"{HEADER}: '{given[:64]}' is none of {', '.join(get_args(Mode))}.")
        return cast(Mode, given)

    def _apply(self, chosen: Preset, ask: Ask, body: wire.ChatBody) -> None:
        edit = Edit(ask, body)
        at = next((place for place, message in enumerate(body.messages) if message.role in ALWAYS), None)
        text = chosen.text(own=at is not None)
        if text:
            edit.apply(with_system(list(edit.raw), text, at))

    async def _fit(self, ask: Ask, body: wire.ChatBody, mode: Mode) -> None:
        context = self._house.chosen(ask.target)[1].capabilities.context
        context = min(context, ask.context) if ask.context else context
        limit = context if mode == "error" else context - self._reserved(body, context)
        if not context or len(ask.body) + AROUND * (len(body.messages) + 1) <= limit:
            return
        edit = Edit(ask, body)
        try:
            tokens = await self._tokens(ask, edit, list(edit.raw))
            if tokens <= limit:
                return
        except Unsupported:  # who counts nowhere judges for itself
            if ask.context:
                ask.note(HEADER, UNCOUNTED)
            return
        if mode == "error":
            raise ContextOverflow(tokens=tokens, context=context, param="messages")
        if mode == "summarize" and await self._summarize(ask, edit, limit):
            return
        dropped = await self._least(ask, edit, limit)
        if dropped is None:
            self._done.add("refused")
            tokens = await self._tokens(ask, edit, edit.kept(len(edit.turns.units)))
            raise QuestionTooLong(tokens=tokens, context=context, reserve=context - limit, param="messages")
        edit.apply(edit.kept(dropped))
        self._tell(ask, "truncated", len(edit.turns.first(dropped)))

    def _reserved(self, body: wire.ChatBody, context: int) -> int:
        wanted = body.max_completion_tokens or body.max_tokens or body.n_predict or -1
        reserve = wanted if wanted > 0 else self._options.reserve
        return min(reserve, context // 2)

    async def _tokens(self, ask: Ask, edit: Edit, messages: list[object]) -> int:
        return await count.tokens(self._house, ask.target, edit.body(messages), ask.local_only)

    async def _least(self, ask: Ask, edit: Edit, limit: int) -> int | None:
        """The fewest units to leave out so that the rest fits; None where even the question alone does not."""
        low, high = 1, len(edit.turns.units)
        if await self._tokens(ask, edit, edit.kept(high)) > limit:
            return None
        while low < high:
            middle = (low + high) // 2
            if await self._tokens(ask, edit, edit.kept(middle)) <= limit:
                high = middle
            else:
                low = middle + 1
        return high

    async def _summarize(self, ask: Ask, edit: Edit, limit: int) -> bool:
        """Whether the older turns could be summed up; where the model could not, they are left out instead."""
        known = {
            dropped: text
            for dropped in range(1, len(edit.turns.units) + 1)
            if (text := self._summaries.find(self._name(ask, edit, dropped))) is not None
        }
        for units, text in known.items():
            if await self._replace(ask, edit, units, text, limit):
                return True
        dropped = await self._least(ask, edit, max(int(limit * ROOM) - self._options.summary_tokens, 1))
        if dropped is None:
            return False
        before = max((each for each in known if each < dropped), default=0)
        new = set(edit.turns.first(dropped)) - set(edit.turns.first(before))
        text = summary.transcript([edit.said[place] for place in sorted(new)])
        try:
            written = await summary.write(
                self._house,
                ask.target,
                text,
                known.get(before, ""),
                self._options.summary_tokens,
                local_only=ask.local_only,
            )
        except (EngineError, ContextOverflow):
            written = ""
        if not written or not await self._replace(ask, edit, dropped, written, limit):
            return False
        self._summaries.keep(self._name(ask, edit, dropped), written)
        return True

    async def _replace(self, ask: Ask, edit: Edit, units: int, text: str, limit: int) -> bool:
        """Put the summary `text` in the place of the oldest `units`, if the whole then fits."""
        messages = edit.kept(units, summary.headed(text))
        if await self._tokens(ask, edit, messages) > limit:
            return False
        edit.apply(messages)
        self._tell(ask, "summarized", len(edit.turns.first(units)))
        return True

    def _name(self, ask: Ask, edit: Edit, dropped: int) -> bytes:
        raw = [bytes(edit.raw[place]) for place in edit.turns.first(dropped)]
        return self._summaries.name(ask.key.name, ask.target, raw)

    def _tell(self, ask: Ask, done: str, messages: int) -> None:
        self._done.add(done)
        ask.note(HEADER, f"{done}; messages={messages}")


def build(options: ContextOptions, house: House) -> Context:
    """The policy: always there, since any request may ask for it."""
    return Context(options, house)


STEP = Step("context", ContextOptions, build)
