"""A verb with verbs of its own (`penjing keys add`): help, unknown words and examples as everywhere else.

Does not know: what any verb does.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import click

from penjing.cli.verb import Verb
from penjing.errors import InputError
from penjing.language import say


class NoSuchPart(InputError):
    """Facts: `path` (the command), `name`, `known`."""

    template = "{path} has no command '{name}'."
    hint = "It has: {known}"
    code = "unknown_command"


class Family(Verb, click.Group):
    """`add_command` gives it its verbs, shown in the order in which they came."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in self.commands or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        near = get_close_matches(args[0], self.commands, n=1) or list(self.commands)
        raise NoSuchPart(path=ctx.command_path, name=args[0], known=", ".join(near))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return click.Group.parse_args(self, ctx, args or ["--help"])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(say("Commands")):
            formatter.write_dl([(name, say(each.help or "")) for name, each in self.commands.items()])
        Verb.format_options(self, ctx, formatter)


def family(name: str, help: str, verbs: Sequence[click.Command], examples: Sequence[tuple[str, str]] = ()) -> Family:
    """The verb `name` with `verbs` of its own. `help` and the meanings of `examples` are templates."""
    made: Any = Family(name, help=help, examples=examples, subcommand_metavar="COMMAND [ARGS]...")
    for each in verbs:
        made.add_command(each)
    return made  # type: ignore[no-any-return]  # click's Group is not typed to be mixed in
