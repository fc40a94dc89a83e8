"""Whatever was raised as an error that has a sentence: penjing's own, click's, the operating system's, anybody's."""

from __future__ import annotations

import click

from penjing.cli.usage import translate
from penjing.errors import DiskFull, MachineError, PenjingError


class Mistake(PenjingError):
    """An error nobody foresaw. Facts: `kind`, `detail`."""

    template = "penjing made a mistake ({kind}): {detail}"
    hint = "Run the same command with --debug and report what it shows."


class FolderUnusable(MachineError):
    """penjing's own folder cannot be used. Facts: `path`, `detail`."""

    template = "penjing's folder cannot be used: {path}: {detail}"
    hint = "Give one that can be written: PENJING_HOME=DIR penjing ..."
    code = "folder_unusable"


class Unprintable(MachineError):
    """What should be printed has characters that the output's encoding lacks. Facts: `encoding`."""

    template = "The output is {encoding}, which lacks characters that should be shown."
    hint = "Run it with UTF-8: PYTHONUTF8=1 penjing ..."
    code = "unprintable"


class OutputFull(DiskFull):
    """What is printed goes to a full disk. Facts: none."""

    template = "The output cannot be written: the disk it goes to is full."
    hint = "Free some space there, or send it elsewhere."


def foreseen(error: Exception) -> PenjingError:
    """Any exception as one that has a sentence."""
    if isinstance(error, PenjingError):
        return error
    if isinstance(error, OSError):
        return of_the_system(error)
    if isinstance(error, click.ClickException):
        return translate(error)
    if isinstance(error, UnicodeEncodeError):
        return Unprintable(encoding=error.encoding)
    return Mistake(kind=type(error).__name__, detail=str(error))


def of_the_system(error: OSError) -> PenjingError:
    """What the operating system refused: room on a disk, or penjing's own folder. Only the output has no name."""
    from penjing.files import NO_ROOM, home

    path, detail = str(error.filename or ""), error.strerror or str(error)
    if error.errno in NO_ROOM:
        return DiskFull(path=path, needed="?", free="0 B") if path else OutputFull()
    if path.startswith(str(home())):
        return FolderUnusable(path=path, detail=detail)
    return Mistake(kind=type(error).__name__, detail=str(error))
