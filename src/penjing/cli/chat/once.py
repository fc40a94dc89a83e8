"""One question, one answer: plain text on stdout as it comes, or one JSON object.

Does not know: terminals.
"""

from __future__ import annotations

import sys

from penjing.cli import talk
from penjing.cli.chat.session import Answer, Session
from penjing.cli.chat.stats import json_of, line_of
from penjing.errors import EngineDied
from penjing.messages import Delta


async def answer_once(session: Session, question: str, *, as_json: bool) -> None:
    """Print the answer to `question`. Raises PenjingError; an engine that died before the first word is asked again."""
    session.conversation.add("user", question)
    try:
        answer = await _asked(session, as_json)
    except EngineDied as error:
        if error.facts.get("begun") and not as_json:
            raise
        talk.warn("{message} Asking again.", message=error.message())
        await session.back()
        answer = await _asked(session, as_json)
    if as_json:
        talk.data_json(json_of(answer, session.engine.name))
    elif not answer.text.endswith("\n"):
        talk.data("")
    if answer.finish == "length":
        talk.warn("The answer was cut short: it reached the limit of tokens.")
    if session.settings.stats and not as_json:
        talk.note("{line}", line=line_of(answer))


async def _asked(session: Session, silent: bool) -> Answer:
    def hear(delta: Delta) -> None:
        if not silent and delta.text:
            sys.stdout.write(talk.printable(delta.text) if sys.stdout.isatty() else delta.text)
            sys.stdout.flush()

    return await session.answer(hear)
