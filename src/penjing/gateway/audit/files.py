"""The files of a log: `audit-000001.jsonl`, `audit-000002.jsonl` ... and `head.json`, which says how far it had got.

The head is what shows that lines are missing at the end. It is written after the lines, so it may lag behind them,
never run ahead. Who can put back an old head together with old files can hide what came after; a copy of the head
elsewhere is what helps against that.

Does not know: when records are written.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from penjing.files import write_whole
from penjing.gateway.audit.chain import FIRST, Chain

NAME = re.compile(r"audit-(\d{6})\.jsonl")
HEAD = "head.json"
SERVERS = 16
"""That run at once on one home and keep logs."""


class Head(msgspec.Struct, frozen=True):
    """The last line that was on disk for certain. `seal` is the hash of the rest, with the log's secret."""

    number: int = 0
    hash: str = FIRST
    seal: str = ""

    def sealed(self, chain: Chain) -> Head:
        return Head(self.number, self.hash, chain.digest(b"%d %b" % (self.number, self.hash.encode())))


def path_of(folder: Path, number: int) -> Path:
    """The file with that number."""
    return folder / f"audit-{number:06}.jsonl"


def place(home: Path, number: int) -> Path:
    """The folder of the log that server `number` (from 1) writes."""
    return home / ("audit" if number == 1 else f"audit-{number}")


def places(home: Path) -> list[Path]:
    """The folders of logs under `home`: servers that run at once write one each."""
    every = [place(home, number) for number in range(1, SERVERS + 1)]
    return [folder for folder in every if folder.exists()]


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """All files in order."""
    found = ((NAME.fullmatch(path.name), path) for path in folder.glob("audit-*.jsonl"))
    return sorted((int(match[1]), path) for match, path in found if match)


def read_head(folder: Path) -> Head | None:
    """The head; None where there is none. Raises ValueError for one that cannot be read."""
    try:
        return msgspec.json.decode((folder / HEAD).read_bytes(), type=Head)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error


def write_head(folder: Path, chain: Chain) -> None:
    """Say how far the log has got."""
    head = Head(chain.number, chain.before).sealed(chain)
    write_whole(folder / HEAD, msgspec.json.encode(head), private=True)
