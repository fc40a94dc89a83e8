"""What belongs to a name and to no version of it: its tags, and which numbers were given (`shelf.json`).

Does not know: what the versions are.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from penjing.errors import ModelCorrupt
from penjing.files import write_whole

NAME = "shelf.json"


class Shelf(msgspec.Struct, frozen=True):
    """`next`: the least number the next version may have; lower ones were removed. `tags`: which version each names."""

    next: int = 1
    tags: dict[str, int] = {}


def read(folder: Path) -> Shelf:
    """The shelf of the name whose folder this is. Raises ModelCorrupt."""
    path = folder / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Shelf)
    except FileNotFoundError:
        return Shelf()
    except (OSError, msgspec.DecodeError) as error:
        raise ModelCorrupt(path=str(path), detail=str(error)) from error


def next_number(folder: Path) -> int:
    """One more than any version of the name has or had. Raises ModelCorrupt."""
    here = [int(path.name) for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []
    return max([read(folder).next, *(number + 1 for number in here)])


def save(shelf: Shelf, folder: Path) -> None:
    """Write it whole or not at all."""
    write_whole(folder / NAME, msgspec.json.format(msgspec.json.encode(shelf), indent=2) + b"\n")
