"""click's own complaints as penjing's typed errors, so that they read alike in both languages.

Every kind click raises is in TABLE; a test fails on a kind that is not.
"""

from __future__ import annotations

from collections.abc import Callable

import click
from click import exceptions

from penjing.errors import InputError, PenjingError


class NoSuchOption(InputError):
    """Facts: `name`, `path` (the command)."""

    template = "{path} has no option {name}."
    hint = "{path} --help shows its options."
    code = "unknown_option"


class NoSuchOptionNear(NoSuchOption):
    """Facts: `near` besides."""

    hint = "Did you mean {near}? {path} --help shows all options."


class NoSuchVerb(InputError):
    """Facts: `name`."""

    template = "penjing has no command '{name}'."
    hint = "penjing --help shows the commands."
    code = "unknown_command"


class NoSuchVerbNear(NoSuchVerb):
    """Facts: `near` besides."""

    hint = "Did you mean: penjing {near}"


class ValueMissing(InputError):
    """Facts: `name`, `path`."""

    template = "{name} needs a value."
    hint = "{path} --help shows which."
    code = "value_missing"


class ValueNotTaken(InputError):
    """A flag was given a value. Facts: `name`, `path`."""

    template = "{name} takes no value."
    hint = "{path} --help shows how it is used."
    code = "value_not_taken"


class UsageFault(InputError):
    """Facts: `detail`, `path`."""

    template = "{detail}"
    hint = "{path} --help shows how it is used."


def translate(error: click.ClickException) -> PenjingError:
    """The typed error for what click raised."""
    for kind, make in TABLE.items():
        if isinstance(error, kind):
            return make(error)
    return InputError(detail=error.format_message())


def _path(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context else "penjing"


def _option(error: exceptions.NoSuchOption) -> PenjingError:
    facts = {"name": error.option_name, "path": _path(error)}
    if error.possibilities:
        return NoSuchOptionNear(near=", ".join(error.possibilities), **facts)
    return NoSuchOption(**facts)


def _missing(error: exceptions.MissingParameter) -> PenjingError:
    return ValueMissing(name=error.param.get_error_hint(error.ctx) if error.param else "?", path=_path(error))


def _value(error: exceptions.BadOptionUsage) -> PenjingError:
    known = error.ctx.command.params if error.ctx else []
    flag = any(
        isinstance(option, click.Option) and option.is_flag and error.option_name in option.opts for option in known
    )
    return (ValueNotTaken if flag else ValueMissing)(name=error.option_name, path=_path(error))


TABLE: dict[type[click.ClickException], Callable[..., PenjingError]] = {
    exceptions.NoSuchOption: _option,
    exceptions.MissingParameter: _missing,
    exceptions.BadOptionUsage: _value,
    exceptions.UsageError: lambda error: UsageFault(detail=error.format_message(), path=_path(error)),
    exceptions.FileError: lambda error: InputError(detail=error.format_message()),
}
