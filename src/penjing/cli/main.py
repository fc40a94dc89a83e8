"""`penjing`: finds the verb, runs it, and turns whatever goes wrong into a sentence and an exit status.

Exit status: 0 done, 1 penjing's own mistake, 2 the command, 3 the model, 4 the machine, 5 the engine, 6 the network,
7 an export that is not what it was made of, 130 Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from penjing.cli import talk
from penjing.cli.faults import foreseen
from penjing.cli.usage import NoSuchVerb, NoSuchVerbNear
from penjing.cli.verb import Verb, option
from penjing.language import say

VERBS = {
    "chat": ("penjing.cli.chat.verb:chat", "Talk to a model on this machine."),
    "serve": ("penjing.cli.serve:serve", "Serve a model to programs that speak OpenAI's API."),
    "phone": ("penjing.cli.phone:phone", "Serve the chat page to phones on this network."),
    "restart": ("penjing.cli.restart:restart", "Replace a running server; nobody who talks to it notices."),
    "explain": ("penjing.cli.explain:explain", "Show how a model would be run here, and why."),
    "probe": ("penjing.cli.probe:probe", "Show what this machine, or a model, is."),
    "plan": ("penjing.cli.plan.verb:plan", "Show what of a model fits, how fast, and what it costs."),
    "shrink": ("penjing.cli.shrink.verb:shrink", "Make a model smaller, and measure what was lost."),
    "export": ("penjing.cli.export:export", "Write a model for a phone, an app or a browser."),
    "vocabulary": ("penjing.cli.vocabulary:vocabulary", "Add a language to a model's tokenizer."),
    "pull": ("penjing.cli.pull:pull", "Fetch a model."),
    "adopt": ("penjing.cli.adopt:adopt", "Use models that Ollama, LM Studio or Hugging Face's tools keep here."),
    "store": ("penjing.cli.store.verb:store", "Show and arrange the models that this machine keeps."),
    "trust": ("penjing.cli.trust.verb:trust", "Say whose models may be loaded here, and sign your own."),
    "seal": ("penjing.cli.seal:seal", "Encrypt a model at rest."),
    "unseal": ("penjing.cli.seal:unseal", "Write a sealed model as a plain file again."),
    "release": ("penjing.cli.release.verb:release", "Let versions of a model out, try them first, take them back."),
    "hub": ("penjing.cli.hub.verb:hub", "Give models to many machines, and see how they fare."),
    "device": ("penjing.cli.device.verb:device", "Let this machine follow a hub's releases."),
    "tune": ("penjing.cli.tune.verb:tune", "Find out what is quickest for a model here, and use that."),
    "engine": ("penjing.cli.engine.verb:engine", "Compile llama.cpp for this very processor, choose and measure."),
    "bench": ("penjing.cli.bench.verb:bench", "Measure how fast a model answers."),
    "prune": ("penjing.cli.prune:prune", "Make a model smaller by removing parts of it."),
    "distill": ("penjing.cli.distill:distill", "Teach a small model to answer as a large one."),
    "finetune": ("penjing.cli.finetune:finetune", "Teach a model your own examples."),
    "quantize": ("penjing.cli.quantize.verb:quantize", "Make a model smaller: fewer bits a weight, to a size."),
    "evaluate": ("penjing.cli.evaluate.verb:evaluate", "Measure what a model is worth, and what it lost."),
    "keys": ("penjing.cli.keys:keys", "Make, list and revoke the API keys of the server."),
    "audit": ("penjing.cli.audit:audit", "Check or read the log of who asked which model what."),
    "doctor": ("penjing.cli.doctor:doctor", "Check what works here, and what to do about the rest."),
}
INTERRUPTED = 130
COMMON = {"-q", "--quiet", "--debug"}
HELP = "A ChatGPT-like model on hardware you own: talk to it here, or serve it to other programs."


class Penjing(Verb, click.Group):
    """The group of verbs. A verb's module is imported when it is run, its summary stands in VERBS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name][0].partition(":")
        found: click.Command = getattr(import_module(module), name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from difflib import get_close_matches

        if args[0] in VERBS or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        near = get_close_matches(args[0], VERBS, n=1)
        raise NoSuchVerbNear(name=args[0], near=near[0]) if near else NoSuchVerb(name=args[0])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return click.Group.parse_args(self, ctx, ["--help"] if COMMON.issuperset(args) else args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # here, since click would make it exit status 1
            return _pipe_closed()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(say("Commands")):
            formatter.write_dl([(name, say(summary)) for name, (_, summary) in VERBS.items()])
        Verb.format_options(self, ctx, formatter)


def _version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        import penjing

        click.echo(f"penjing {penjing.__version__}")
        ctx.exit()


@click.command(
    "penjing",
    cls=Penjing,
    help=HELP,
    subcommand_metavar="COMMAND [ARGS]...",
    examples=(
        ("penjing chat", "Talk to the built-in model."),
        ("penjing serve", "Serve it on http://127.0.0.1:8000/v1."),
        ("penjing COMMAND --help", "Everything about one command."),
    ),
)
@option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def penjing() -> None:
    """The root of all verbs."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status; whatever goes wrong has been said on stderr."""
    try:
        status: Any = penjing.main(list(arguments), prog_name="penjing", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception as error:
        if "--debug" in arguments:
            import traceback

            traceback.print_exc()
        known = foreseen(error)
        talk.complain(known)
        return known.exit_code
    return status if isinstance(status, int) else 0


def _pipe_closed() -> int:
    """Whoever read our output went away (`penjing ... | head`): no error, and nothing for Python to say at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
