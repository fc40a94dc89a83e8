"""Verbs and options that speak the reader's language: texts are English templates, translated when they are shown.

Does not know: what any verb does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from penjing.cli.layout import Page
from penjing.errors import InputError
from penjing.language import say

F = TypeVar("F", bound=Callable[..., Any])
click.Context.formatter_class = Page


class UnexpectedArgument(InputError):
    """More words than a verb takes. Facts: `words`, `path` (the command)."""

    template = "{path} does not take '{words}'."
    hint = "{path} --help shows what it takes."
    code = "unexpected_argument"


class Option(click.Option):
    """An option whose help is a template."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        if self.hidden:
            return None
        meaning = say(self.help or "")
        if self.show_envvar and self.envvar:
            meaning += f" [{self.envvar}]"
        return self.get_help_spec(ctx), meaning

    def get_help_spec(self, ctx: click.Context) -> str:
        names = ", ".join(sorted(self.opts, key=len)) + "".join(f" / {name}" for name in self.secondary_opts)
        return names if self.is_flag else f"{names} {self.metavar or 'TEXT'}"


class Verb(click.Command):
    """One verb: its help is a template, its examples are lines to type with what they do (a template)."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.params += common()
        self.context_settings = {**self.context_settings, "allow_extra_args": True}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            left = super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # click's parser leaves it out of some
            raise
        if ctx.args and not ctx.resilient_parsing:
            raise UnexpectedArgument(words=" ".join(ctx.args), path=ctx.command_path)
        return left

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        return None  # --help is among the common options, where it can be translated

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write_text(say(self.help or ""))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = (parameter for parameter in self.get_params(ctx) if isinstance(parameter, Option))
        records = [option.get_help_record(ctx) for option in options]
        with formatter.section(say("Options")):
            formatter.write_dl([record for record in records if record])
        if self.examples:
            with formatter.section(say("Examples")):
                formatter.write_dl([(line, say(meaning)) for line, meaning in self.examples], col_max=46)


def common() -> list[click.Parameter]:
    """The options every verb has."""
    return [
        Option(["--quiet", "-q"], is_flag=True, expose_value=False, callback=_quiet, help="Say only errors."),
        Option(["--debug"], is_flag=True, expose_value=False, help="Show where in the code an error came from."),
        Option(
            ["--help", "-h"], is_flag=True, is_eager=True, expose_value=False, callback=_help, help="Show this page."
        ),
    ]


def _help(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def _quiet(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from penjing.cli import talk

        talk.hush()


def verb(name: str, help: str, examples: Sequence[tuple[str, str]] = ()) -> Callable[[Callable[..., Any]], Verb]:
    """Make a function a verb. `help` and the meanings of `examples` are templates."""
    return click.command(name, cls=Verb, help=help, examples=examples)


def option(*names: str, help: str, **more: Any) -> Callable[[F], F]:
    """An option of a verb; `help` is a template. The value stays text: the settings that take it say what it may be."""
    return click.option(*names, cls=Option, help=help, **more)


def argument(name: str, metavar: str, required: bool = False, many: bool = False) -> Callable[[F], F]:
    """A word of a verb that is not an option, or `many` of them."""
    return click.argument(name, metavar=metavar, required=required, nargs=-1 if many else 1)
