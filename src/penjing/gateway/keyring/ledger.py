"""What each key has used, by calendar month (UTC), kept across restarts: PENJING_HOME/usage/2026-11.json.

A running server counts in memory and adds what is new to the file at most once in FLUSH_SECONDS, under a lock, so that
several servers on one PENJING_HOME add up and learn of each other. At its end it writes the rest: SIGTERM loses
nothing. kill -9 or a power cut loses what was counted since the last writing, at most FLUSH_SECONDS and the time of one
writing, and what requests that were running would have been counted; the file itself is never half-written.

Does not know: prices, limits, event loops.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from penjing.errors import InputError, PenjingError
from penjing.files import home, write_whole
from penjing.gateway.keyring.key import utc
from penjing.lock import held

log = logging.getLogger(__name__)

FOLDER = "usage"
FLUSH_SECONDS = 5.0


class UsageFileInvalid(InputError):
    """Facts: `path`, `detail`."""

    template = "{path} is not a file of what API keys used: {detail}"
    hint = "Put back a copy of it, or move it away: the count of that month then begins again."
    code = "invalid_usage_file"


class Used(Struct, forbid_unknown_fields=True):
    """What a key used in a month. `cost` in US dollars."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: Used) -> Used:
        return Used(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost + other.cost,
        )


NOTHING = Used()
DECODER = msgspec.json.Decoder(dict[str, Used])


def read(path: Path) -> dict[str, Used]:
    """By the name of the key; nothing where there is no file. Raises UsageFileInvalid, OSError."""
    try:
        return DECODER.decode(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageFileInvalid(path=str(path), detail=str(error)) from error


@dataclass
class Page:
    """A month: what the file had when it was last read, what is being written, what is new since."""

    path: Path
    kept: Mapping[str, Used] = field(default_factory=dict)
    writing: dict[str, Used] = field(default_factory=dict)
    fresh: dict[str, Used] = field(default_factory=dict)

    def used(self, key: str) -> Used:
        return self.kept.get(key, NOTHING) + self.writing.get(key, NOTHING) + self.fresh.get(key, NOTHING)

    def add(self, key: str, used: Used) -> None:
        self.fresh[key] = self.fresh.get(key, NOTHING) + used


class Ledger:
    """`flush` may run in another thread than the rest. Raises UsageFileInvalid where this month's file is broken."""

    def __init__(self, folder: Path | None = None, now: Callable[[], datetime] = utc) -> None:
        self._folder = folder or home() / FOLDER
        self._now = now
        self._counting = threading.Lock()  # held for a few instructions at a time
        self._flushing = threading.Lock()  # held while a file is written
        self._months: dict[tuple[int, int], Page] = {}
        path = self._path(now())
        self._months[now().year, now().month] = Page(path, read(path))

    @property
    def waiting(self) -> bool:
        """Whether something is counted that is not in the file."""
        return any(page.fresh for page in self._months.values())

    def used(self, key: str) -> Used:
        """This month, also by other servers as far as they have written it."""
        with self._counting:
            return self._page().used(key)

    def add(self, key: str, used: Used) -> None:
        """Count `used` for `key`. Memory only."""
        with self._counting:
            self._page().add(key, used)

    def flush(self) -> None:
        """Write what is new. What cannot be written is kept for the next time, and said in the log."""
        with self._flushing:
            for page in list(self._months.values()):
                if page.fresh:
                    self._write(page)
            with self._counting:
                for past in sorted(self._months)[:-1]:
                    if not self._months[past].fresh:
                        del self._months[past]

    def _write(self, page: Page) -> None:
        with self._counting:
            page.writing, page.fresh = page.fresh, {}
        try:
            with held(page.path.with_suffix(".lock")):
                together = read(page.path)
                for key, used in page.writing.items():
                    together[key] = together.get(key, NOTHING) + used
                write_whole(page.path, msgspec.json.encode(together), private=True)
        except (OSError, PenjingError) as error:
            log.error("what API keys used could not be written and is kept in memory: %s", error)
            with self._counting:
                back, page.writing = page.writing, {}
                for key, used in back.items():
                    page.add(key, used)
        else:
            with self._counting:
                page.kept, page.writing = together, {}

    def _page(self) -> Page:
        now = self._now()
        page = self._months.get((now.year, now.month))
        if page is None:
            page = self._months[now.year, now.month] = Page(self._path(now))
            try:
                page.kept = read(page.path)
            except (OSError, PenjingError) as error:
                log.error("what API keys used before cannot be read: %s", error)
        return page

    def _path(self, now: datetime) -> Path:
        return self._folder / f"{now:%Y-%m}.json"


def this_month(folder: Path | None = None) -> dict[str, Used]:
    """What each key used this month, as far as servers have written it. Raises UsageFileInvalid."""
    return read((folder or home() / FOLDER) / f"{utc():%Y-%m}.json")
