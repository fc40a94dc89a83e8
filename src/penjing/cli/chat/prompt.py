"""The line where a person types: history, slash-command completion, pastes of many lines.

Does not know: what the commands do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import HTML
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from penjing.cli import talk
from penjing.files import home
from penjing.language import say

HISTORY = "chat_history"
Words = Callable[[], Iterable[str]]


class Slash(Completer):
    """Completes `/word` at the start of a line, and what follows it where `arguments` knows."""

    def __init__(self, summaries: Mapping[str, str], arguments: Mapping[str, Words]) -> None:
        self.summaries, self.arguments = summaries, arguments

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        typed = document.text_before_cursor
        if not typed.startswith("/") or "\n" in typed:
            return
        name, space, rest = typed[1:].partition(" ")
        if not space:
            for known, summary in self.summaries.items():
                if known.startswith(name):
                    yield Completion(known, start_position=-len(name), display=f"/{known}", display_meta=say(summary))
        elif name in self.arguments:
            for word in self.arguments[name]():
                if word.startswith(rest):
                    yield Completion(word, start_position=-len(rest))


def history() -> History:
    """Lines typed before, readable by their owner only; kept in memory where the disk refuses."""
    path = home() / HISTORY
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    except OSError as error:
        talk.warn("What you type will not be remembered: {path}: {detail}", path=path, detail=error.strerror)
        return InMemoryHistory()
    return QuietFileHistory(path)


class QuietFileHistory(FileHistory):
    """A history file; a full disk must not end a conversation."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))

    def store_string(self, string: str) -> None:
        try:
            super().store_string(string)
        except OSError:
            return  # the line stays in memory, and saving a conversation will say that the disk is full


def keys() -> KeyBindings:
    """Enter sends, Alt-Enter begins a new line. Ctrl-J is what Enter sent before this prompt was there."""
    bindings = KeyBindings()

    @bindings.add("enter")
    @bindings.add("c-j")
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @bindings.add("escape", "enter")
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return bindings


def session(summaries: Mapping[str, str], arguments: Mapping[str, Words]) -> PromptSession[str]:
    """The prompt of one conversation."""
    hint = say("Ask anything; /help for commands, Ctrl-D to leave")
    return PromptSession(
        message=HTML("<b><ansigreen>›</ansigreen></b> "),
        placeholder=HTML("<ansibrightblack>{}</ansibrightblack>").format(hint),
        history=history(),
        completer=Slash(summaries, arguments),
        complete_while_typing=True,
        key_bindings=keys(),
        multiline=True,
        prompt_continuation="  ",
        reserve_space_for_menu=4,
        enable_history_search=False,
    )
