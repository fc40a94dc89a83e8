"""What a line that begins with `/` does. COMMANDS is the whole list, /help prints it.

Does not know: how lines are read or answers drawn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from penjing.cli.chat import conversation
from penjing.errors import InputError, Unsupported

if TYPE_CHECKING:
    from penjing.cli.chat.loop import Chat

NOTHING = "-"
SWITCH = {"on": True, "off": False}


class NoSuchCommand(InputError):
    """Facts: `name`."""

    template = "There is no command /{name}."
    hint = "/help lists them. To send a line that begins with '/', put a space before it."


class NotASwitch(InputError):
    """Facts: `name`, `word`."""

    template = "/{name} takes on or off, not '{word}'."


class NothingToRepeat(InputError):
    """Facts: none."""

    template = "Nothing has been asked yet."


@dataclass(frozen=True)
class Command:
    """`argument` is shown after the name, `summary` is a template."""

    run: Callable[[Chat, str], Awaitable[None]]
    summary: str
    argument: str = ""


async def dispatch(chat: Chat, line: str) -> None:
    """Run `/name argument`. Raises NoSuchCommand and whatever the command raises."""
    name, _, argument = line[1:].strip().partition(" ")
    if name not in COMMANDS:
        raise NoSuchCommand(name=name)
    await COMMANDS[name].run(chat, argument.strip())


async def show_help(chat: Chat, argument: str) -> None:
    chat.table([(f"/{name} {command.argument}".strip(), command.summary) for name, command in COMMANDS.items()])
    chat.tell("Enter sends, Alt-Enter begins a new line, Ctrl-C stops an answer, Ctrl-D leaves.")


async def system(chat: Chat, argument: str) -> None:
    talk = chat.session.conversation
    if argument:
        talk.system = "" if argument == NOTHING else argument
    if talk.system:
        chat.tell("System message: {text}", text=talk.system)
    else:
        chat.tell("There is no system message.")


async def save(chat: Chat, argument: str) -> None:
    name = argument or datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")
    path = conversation.path_of(name)
    conversation.save(chat.session.conversation, path, chat.session.engine.name)
    chat.tell("Saved: {path}", path=path)


async def load(chat: Chat, argument: str) -> None:
    chat.session.conversation, model = conversation.load(conversation.path_of(argument or conversation.LAST))
    turns = len(chat.session.conversation.messages)
    chat.tell("Loaded {count} messages, held with {model}.", count=turns, model=model or "?")


async def regenerate(chat: Chat, argument: str) -> None:
    if not chat.session.conversation.drop_answer():
        raise NothingToRepeat
    await chat.answer()


async def edit(chat: Chat, argument: str) -> None:
    chat.draft = chat.session.conversation.take_back()
    if not chat.draft:
        raise NothingToRepeat


async def stats(chat: Chat, argument: str) -> None:
    settings = chat.session.settings
    chat.session.settings = replace(settings, stats=_switch("stats", argument, settings.stats))
    if chat.session.settings.stats:
        chat.tell("Each answer is followed by its speed.")
    else:
        chat.tell("Speeds are not shown.")


async def model(chat: Chat, argument: str) -> None:
    if argument:
        await chat.switch(argument)
    can = chat.session.engine.capabilities
    chat.tell("Model: {model}; context {context} tokens.", model=chat.session.engine.name, context=can.context or "?")


async def think(chat: Chat, argument: str) -> None:
    can = chat.session.engine.capabilities
    wanted = _switch("think", argument, chat.session.think)
    if wanted and chat.session.opened.file and not can.reasoning:
        raise Unsupported(feature="/think", model=chat.session.engine.name)
    chat.session.think = wanted
    if wanted:
        chat.tell("The model thinks before it answers.")
    else:
        chat.tell("The model answers at once.")


async def clear(chat: Chat, argument: str) -> None:
    chat.session.conversation.clear()
    chat.tell("The conversation begins anew.")


async def leave(chat: Chat, argument: str) -> None:
    chat.leaving = True
    await asyncio.sleep(0)


def _switch(name: str, word: str, now: bool | None) -> bool:
    """`on`, `off`, or the other way round."""
    if word and word not in SWITCH:
        raise NotASwitch(name=name, word=word)
    return SWITCH[word] if word else not now


COMMANDS = {
    "help": Command(show_help, "List the commands."),
    "system": Command(system, "Show or set what the model is told first; '-' removes it.", "[TEXT]"),
    "save": Command(save, "Keep the conversation under a name or in a file.", "[NAME|FILE]"),
    "load": Command(load, "Take up a kept conversation; 'last' is the one before.", "[NAME|FILE]"),
    "regenerate": Command(regenerate, "Answer the last question again."),
    "edit": Command(edit, "Take the last question back and change it."),
    "stats": Command(stats, "Show time to the first token and tokens per second.", "[on|off]"),
    "model": Command(model, "Show the model, or go on with another.", "[MODEL|URL]"),
    "think": Command(think, "Let the model think before it answers, where it can.", "[on|off]"),
    "clear": Command(clear, "Forget the conversation."),
    "exit": Command(leave, "Leave (Ctrl-D)."),
}
ARGUMENTS = {"load": conversation.names, "stats": lambda: SWITCH, "think": lambda: SWITCH}
