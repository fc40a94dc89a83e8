"""What the judge of a canary has seen, kept on disk (`STORE/trials/NAME.json`): a server that is started again goes on
where it was, and `penjing release status` shows how far a trial is.

One server judges at a time (`STORE/trials/NAME.lock`); others of the same store send their share to the canary, and
their answers are not counted.

Does not know: how is judged.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime, timezone
from pathlib import Path

import msgspec
from msgspec import Struct

from penjing.files import write_whole
from penjing.lock import held_now
from penjing.operate.release.judge import Judge, Standing
from penjing.store.channels import Trial
from penjing.store.names import folder_of, name_of
from penjing.store.versions import Store


class Kept(Struct, frozen=True):
    """`since` and `number` are the trial's; `at`: when it was written."""

    number: int
    since: datetime
    at: datetime
    standing: Standing


def resumed(store: Store, name: str, trial: Trial) -> tuple[Judge, datetime | None]:
    """The judge of `trial` as it was kept last, and when; where nothing of this trial was kept, a new one."""
    judge = Judge(trial.share, trial.conversations, trial.risk, trial.worse, yardstick=trial.yardstick != "none")
    try:
        kept = msgspec.json.decode(_place(store, name, ".json").read_bytes(), type=Kept)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return judge, None  # what was seen is lost: the trial begins again
    if (kept.number, kept.since) != (trial.number, trial.since):
        return judge, None
    judge.resume(kept.standing)
    return judge, kept.at


def keep(store: Store, name: str, trial: Trial, standing: Standing) -> None:
    """Write down what a judge knows, whole or not at all."""
    kept = Kept(trial.number, trial.since, datetime.now(timezone.utc), standing)
    place = _place(store, name, ".json")
    place.parent.mkdir(parents=True, exist_ok=True)
    write_whole(place, msgspec.json.encode(kept))


def alone(store: Store, name: str) -> AbstractContextManager[bool]:
    """Whether nobody else judges `name`, who then cannot while the block lasts."""
    place = _place(store, name, ".lock")
    place.parent.mkdir(parents=True, exist_ok=True)
    return held_now(place)


def _place(store: Store, name: str, suffix: str) -> Path:
    return store.root / "trials" / (folder_of(name_of(name)) + suffix)
