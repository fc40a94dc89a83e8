"""The conversation on a terminal: read a line, answer it or run its command, until the person leaves.

Ctrl-C stops what is being done, Ctrl-D leaves. Does not know: HTTP, how the engine is kept alive.
"""

from __future__ import annotations

import asyncio
import signal
from threading import Event

from rich.console import Console
from rich.table import Table
from rich.text import Text

from penjing.cli import talk
from penjing.cli.chat import conversation, prompt
from penjing.cli.chat.commands import ARGUMENTS, COMMANDS, dispatch
from penjing.cli.chat.screen import Plain, Screen
from penjing.cli.chat.session import Answer, Session
from penjing.cli.chat.stats import line_of
from penjing.errors import ContextOverflow, EngineDied, PenjingError
from penjing.language import say


class Chat:
    """What the commands work on."""

    def __init__(self, session: Session, console: Console) -> None:
        self.session = session
        self.console = console
        self.draft = ""
        self.leaving = False
        self.working: asyncio.Task[None] | None = None
        self.stopping = False

    async def run(self) -> None:
        """Talk until the person leaves."""
        can = self.session.engine.capabilities
        self.tell(
            "Model: {model}; context {context} tokens.", model=self.session.engine.name, context=can.context or "?"
        )
        reader = prompt.session({name: command.summary for name, command in COMMANDS.items()}, ARGUMENTS)
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupted)
        while not self.leaving:
            default, self.draft = self.draft, ""
            try:
                line = await reader.prompt_async(default=default, handle_sigint=False)
            except KeyboardInterrupt:
                self.tell("Ctrl-D leaves.")
                continue
            except EOFError:
                return
            try:
                await self._stoppable(line)
            except PenjingError as error:
                talk.complain(error)
                if isinstance(error, ContextOverflow):
                    self.tell("/clear begins anew, /edit takes the last question back.")

    async def _stoppable(self, line: str) -> None:
        """`take`, which Ctrl-C ends without leaving. Whoever else cancels us (SIGTERM) means the whole conversation."""
        self.working = asyncio.ensure_future(self.take(line))
        try:
            await self.working
        except asyncio.CancelledError:
            if not self.stopping:
                raise
            self.tell("stopped")
            self.console.print()
        finally:
            self.working, self.stopping = None, False

    async def take(self, line: str) -> None:
        """One line: a command, or something to answer."""
        if line.startswith("/"):
            await dispatch(self, line)
        elif line.strip():
            self.session.conversation.add("user", line.strip())
            await self.answer()

    async def answer(self) -> None:
        """Answer the conversation as it is, on the screen."""
        await self.session.back()
        draw = Screen if self.session.settings.markdown else Plain
        try:
            with draw(self.console) as screen:
                answer = await self.session.answer(lambda delta: screen.feed(delta.text, delta.reasoning))
        except EngineDied as error:
            talk.complain(error)
            await self.session.back()
            self.tell("The engine is back and the conversation is kept: /regenerate asks again.")
        else:
            self._after(answer)
        finally:
            self._keep()

    def _after(self, answer: Answer) -> None:
        if answer.finish == "length":
            self.tell("The answer was cut short: it reached the limit of tokens. /clear makes room.")
        if self.session.settings.stats:
            self.console.print(Text(line_of(answer), style="dim"))
        self.console.print()

    def _keep(self) -> None:
        """The conversation survives whatever happens next; a full disk does not end it."""
        try:
            path = conversation.path_of(conversation.LAST)
            conversation.save(self.session.conversation, path, self.session.engine.name)
        except PenjingError as error:
            talk.warn("The conversation is not kept: {detail}", detail=error.message())

    async def switch(self, name: str) -> None:
        """Go on with another model and the options at hand, but for those that belong to one model. Raises what
        opening and starting it raises; then the one at hand stays."""
        from dataclasses import replace

        from penjing.cli.model import engine_options, open_engine, tell_unheeded

        before = self.session.opened
        chosen = before.chosen.other(name)
        options = replace(before.options or engine_options({}, parallel=1), lora=(), rope_scale=None, gpu_layers=None)
        stop = Event()
        try:
            with self.console.status(say("Loading {model} ...", model=name)):
                opened = await asyncio.to_thread(open_engine, chosen, options, stop=stop)
                await self.session.switch(opened)
        finally:
            stop.set()  # a thread cannot be cancelled: a conversion looks here
        tell_unheeded(opened.engine)

    def _interrupted(self) -> None:
        if self.working is not None:
            self.stopping = True
            self.working.cancel()

    def tell(self, template: str, /, **facts: object) -> None:
        """Say one line, dimmed."""
        self.console.print(Text(say(template, language=None, **facts), style="dim"))

    def table(self, rows: list[tuple[str, str]]) -> None:
        """Two columns; the second is a template."""
        table = Table.grid(padding=(0, 2))
        for name, meaning in rows:
            table.add_row(Text(name, style="green"), Text(say(meaning), overflow="fold"))
        self.console.print(table)
