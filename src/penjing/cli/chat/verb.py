"""The verb `chat`: decides between a conversation and one answer, starts the engine, and imports while it loads."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.model import model_options, tell_unheeded
from penjing.cli.verb import option, verb
from penjing.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from penjing.cli.chat.conversation import Conversation
    from penjing.cli.chat.session import Session

TURN = ("system", "temperature", "top_p", "top_k", "seed", "max_tokens", "think", "stats", "markdown")
TERMINATED = 143
PATIENCE = 0.4  # seconds before loading is shown, and between two looks at it
SCREEN = ("penjing.cli.chat.loop",)
EXAMPLES = (
    ("penjing chat", "Talk to the built-in model."),
    ("penjing chat ./model.gguf", "Talk to a model of your own."),
    ("penjing chat http://office:8000", "Talk to a server that speaks OpenAI's API."),
    ('penjing chat -p "What is a KV cache?"', "One answer on stdout."),
    ("penjing chat < question.txt", "The question from a file or a pipe."),
)


class NothingAsked(InputError):
    """Facts: none."""

    template = "There is nothing to answer: the input was empty."
    hint = 'Give a question: penjing chat -p "What is quantization?"'


class NotText(InputError):
    """Facts: none."""

    template = "The question is not UTF-8 text."
    hint = "Convert it first: iconv -f GB18030 -t UTF-8 question.txt | penjing chat"


@verb("chat", help="Talk to a model on this machine, or to a server.", examples=EXAMPLES)
@model_options
@option("--prompt", "-p", metavar="TEXT", envvar="PENJING_PROMPT", show_envvar=True, help="Answer this and exit.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object with the answer, its counts and its speed.")
@option("--load", metavar="NAME|FILE", help="Take up a kept conversation; 'last' is the one before.")
@option("--system", metavar="TEXT", help="What the model is told first.")
@option("--temperature", metavar="NUMBER", help="How freely words are drawn; 0 always takes the likeliest.")
@option("--top-p", metavar="NUMBER", help="Draw from the likeliest words that together have this probability.")
@option("--top-k", metavar="COUNT", help="Draw from so many likeliest words.")
@option("--seed", metavar="NUMBER", help="The same seed draws the same words.")
@option("--max-tokens", metavar="COUNT", help="Longest answer.")
@option("--think/--no-think", default=None, help="Let the model think before it answers, where it can.")
@option("--stats", is_flag=True, default=None, help="Show time to the first token and tokens per second.")
@option("--markdown/--no-markdown", default=None, help="Draw Markdown on a terminal, or show the text as it is.")
def chat(**given: Any) -> int:
    """The door: settings, the question, the engine. Returns the exit status."""
    from penjing.cli.chat.keys import kept
    from penjing.cli.chat.session import ChatSettings, Session
    from penjing.cli.local import care
    from penjing.cli.model import chosen, engine_options, open_engine, require_known_sections
    from penjing.settings import load

    require_known_sections()
    settings = load(ChatSettings, "chat", {name: given[name] for name in TURN}).value
    question = _question(given["prompt"], as_json=given["as_json"])
    loaded = _loaded(given["load"], given["system"])
    opened = open_engine(chosen(given), engine_options(given, parallel=1), care=care(given))
    session = Session(opened, settings)
    session.conversation = loaded or session.conversation
    with kept() if question is None else nullcontext():
        try:
            asyncio.run(_run(session, question, as_json=given["as_json"]))
        except asyncio.CancelledError:
            return TERMINATED
    return 0


def _loaded(name: str | None, system: str | None) -> Conversation | None:
    """The conversation to take up; `--system`, where it was typed, counts instead of what was kept. Raises
    ConversationUnreadable."""
    if not name:
        return None
    from penjing.cli.chat import conversation

    kept, _ = conversation.load(conversation.path_of(name))
    if system is not None:
        kept.system = system
    return kept


def _question(given: str | None, *, as_json: bool) -> str | None:
    """The one question to answer, or None for a conversation. Raises NothingAsked for empty input, NotText."""
    try:
        if given is None:
            if sys.stdin.isatty() and sys.stdout.isatty() and not as_json:
                return None
            if sys.stdin.isatty():
                talk.note("Type the question, then Ctrl-D.")
            given = sys.stdin.read()
        given.encode()  # where Python reads leniently, bytes that are no text become lone surrogates
    except UnicodeError as error:
        raise NotText from error
    if not given.strip():
        raise NothingAsked
    return given.strip()


async def _run(session: Session, question: str | None, *, as_json: bool) -> None:
    main = asyncio.current_task()
    assert main is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, main.cancel)  # the engine must not outlive us
    starting = asyncio.ensure_future(session.engine.start())
    try:
        await asyncio.to_thread(_import_meanwhile, conversation=question is None)
        await _started(session, starting)
        if question is None:
            from penjing.cli.chat.loop import Chat

            await Chat(session, _console()).run()
        else:
            from penjing.cli.chat.once import answer_once

            await answer_once(session, question, as_json=as_json)
    finally:
        starting.cancel()
        await session.engine.stop()


async def _started(session: Session, starting: asyncio.Future[None]) -> None:
    """Wait for the engine, showing how far it is where that takes long."""
    from penjing.cli.progress import shown

    with shown() as report:
        while not starting.done():
            done, _ = await asyncio.wait({starting}, timeout=PATIENCE)
            if not done:
                report(session.engine.progress)
    await starting
    tell_unheeded(session.engine)


def _import_meanwhile(*, conversation: bool) -> None:
    """What will be needed when the engine is ready: the worker loads while this process imports."""
    for name in ("aiohttp", *(SCREEN if conversation else ())):
        import_module(name)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)
