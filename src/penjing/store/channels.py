"""Which version of a model is out: the channels `stable` and `canary`, each a tag of the store, and what belongs to
them (`STORE/models/NAME/channels.json`): how much of the conversations the canary gets, whether stable is pinned, what
was stable before, and what was decided why.

What the tag `stable` names is what `NAME` alone means, everywhere. A running server looks at the two files and follows.
Tags are written first: where a process dies in between, the canary that is stable already counts as promoted.

Does not know: servers, how a canary is judged.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from penjing.errors import InputError, ModelCorrupt
from penjing.files import write_whole
from penjing.store import names, shelf
from penjing.store.names import STABLE, folder_of
from penjing.store.version import Version

if TYPE_CHECKING:
    from penjing.store.versions import Store

NAME = "channels.json"
CANARY = "canary"
KEPT = 16
"""Decisions, and former stable versions, that are remembered."""


class NoCanary(InputError):
    """Facts: `model`."""

    template = "{model} has no canary."
    hint = "penjing release canary {model}@VERSION tries a version with a share of the conversations."
    code = "no_canary"
    status = 404


class NothingBefore(InputError):
    """Facts: `model`."""

    template = "There is no version of {model} to go back to."
    hint = "penjing store list {model} shows its versions; penjing release promote {model}@VERSION takes one."
    code = "nothing_before"


class Pinned(InputError):
    """Facts: `model`, `version`."""

    template = "{model} is pinned to {version}."
    hint = "penjing release pin {model} --off lets it move again."
    code = "model_pinned"
    status = 409


class AlreadyStable(InputError):
    """Facts: `version`."""

    template = "{version} is stable already."
    hint = "Name another version: penjing store list shows them."
    code = "already_stable"


class Trial(Struct, frozen=True, omit_defaults=True):
    """How a canary is tried. `share` of the conversations, at most `conversations` of its own; `risk` of refusing one
    that is no worse; `worse`: by how much it may be worse, as a factor, by the name of a gate. `yardstick`: a file of
    questions; "" for the model's own or the built-in one, "none" for none. `number`: of its version."""

    number: int
    since: datetime
    share: Annotated[float, Meta(gt=0, le=0.9)] = 0.1
    conversations: Annotated[int, Meta(ge=1)] = 200
    risk: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    worse: dict[str, float] = {}
    yardstick: str = ""


class Decision(Struct, frozen=True, omit_defaults=True):
    """`what` became of version `number`, decided `by` a person, the gates or a hub; `why` in one sentence, `numbers`
    as they were."""

    at: datetime
    what: Literal["tried", "promoted", "rolled_back", "pinned", "unpinned"]
    number: int
    by: Literal["person", "gates", "hub"] = "person"
    why: str = ""
    numbers: dict[str, object] = {}


class Channels(Struct, frozen=True, omit_defaults=True):
    """`before`: the numbers of former stable versions, the last one last."""

    trial: Trial | None = None
    pinned: bool = False
    before: tuple[int, ...] = ()
    decisions: tuple[Decision, ...] = ()


By = Literal["person", "gates", "hub"]


def path(store: Store, name: str) -> Path:
    """The file of `name`."""
    return store.models / folder_of(names.name_of(name)) / NAME


def stamp(store: Store, name: str) -> tuple[object, ...]:
    """Changes whenever what `name` means may have changed, by a channel, a tag or a new version: three `stat`s."""
    place = path(store, name)
    return tuple(_stat(each) for each in (place, place.with_name(shelf.NAME), place.parent))


def read(store: Store, name: str) -> Channels:
    """The channels of `name`. Raises ModelCorrupt."""
    place = path(store, name)
    try:
        return msgspec.json.decode(place.read_bytes(), type=Channels)
    except FileNotFoundError:
        return Channels()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelCorrupt(path=str(place), detail=str(error)) from error


def stable(store: Store, name: str) -> Version:
    """What `name` alone means. Raises NotInStore."""
    return store.find(names.name_of(name))


def canary(store: Store, name: str) -> tuple[Version, Trial] | None:
    """The version that is tried now; None where there is none, or it is stable meanwhile, or was removed."""
    trial = read(store, name).trial
    if trial is None:
        return None
    found = _numbered(store, name, trial.number)
    return None if found is None or found.number == stable(store, name).number else (found, trial)


def try_out(store: Store, version: Version, trial: Trial, *, by: By = "person") -> Decision:
    """Let `version` be the canary of its name. Where nobody has said what is stable, that is from now on the newest of
    the others. Raises AlreadyStable, Pinned."""
    with store.writing():
        known = read(store, version.name)
        before = stable(store, version.name)
        others = [each for each in store.versions(version.name) if each.number != version.number]
        if STABLE not in store.tags(version.name) and others:
            before = others[-1]
        if before.number == version.number:
            raise AlreadyStable(version=str(version))
        _require_free(store, version.name, known)
        _tags(store, version.name, {STABLE: before.number, CANARY: version.number})
        decision = Decision(_now(), "tried", version.number, by, numbers={"share": trial.share})
        _save(store, version.name, replace(known, trial=trial), decision)
    return decision


def promote(
    store: Store,
    version: Version,
    *,
    by: By = "person",
    why: str = "",
    numbers: dict[str, object] | None = None,
    trial: Trial | None = None,
) -> Decision:
    """Let `version` be stable; with `trial` only while that runs. A canary that it is, or that is in the way, ends.
    Raises Pinned; AlreadyStable where nothing would change; NoCanary where `trial` is over."""
    with store.writing():
        known = read(store, version.name)
        _require_running(version.name, known, trial)
        if store.tags(version.name).get(STABLE) == version.number and known.trial is None:
            raise AlreadyStable(version=str(version))
        _require_free(store, version.name, known)
        before = _former(known, stable(store, version.name).number, version.number)
        _tags(store, version.name, {STABLE: version.number, CANARY: None})
        decision = Decision(_now(), "promoted", version.number, by, why, numbers or {})
        _save(store, version.name, replace(known, trial=None, before=before), decision)
    return decision


def rollback(
    store: Store,
    name: str,
    *,
    by: By = "person",
    why: str = "",
    numbers: dict[str, object] | None = None,
    trial: Trial | None = None,
) -> Decision:
    """End the canary, or where there is none, let stable be what it was before; with `trial` only end that, while it
    runs. Raises NothingBefore, Pinned, NotInStore; NoCanary where `trial` is over."""
    name = names.name_of(name)
    with store.writing():
        known = read(store, name)
        _require_running(name, known, trial)
        tried, now = canary(store, name), stable(store, name)
        tags: dict[str, int | None] = {CANARY: None}
        if tried is None:
            _require_free(store, name, known)
            there = [each for each in known.before if _numbered(store, name, each) is not None]
            if not there:
                raise NothingBefore(model=name)
            tags[STABLE] = there[-1]
            known = replace(known, before=tuple(there[:-1]))
        _tags(store, name, tags)
        gone = tried[0].number if tried is not None else now.number
        decision = Decision(_now(), "rolled_back", gone, by, why, numbers or {})
        _save(store, name, replace(known, trial=None), decision)
    return decision


def pin(store: Store, version: Version, *, on: bool) -> Decision:
    """Let stable stay at `version` whatever is published, until it is let go. A canary ends."""
    with store.writing():
        known = read(store, version.name)
        old = stable(store, version.name).number
        _tags(store, version.name, {STABLE: version.number, CANARY: None})
        decision = Decision(_now(), "pinned" if on else "unpinned", version.number)
        before = _former(known, old, version.number)
        _save(store, version.name, replace(known, pinned=on, trial=None, before=before), decision)
    return decision


def _former(known: Channels, old: int, new: int) -> tuple[int, ...]:
    """What was stable before, once `new` is and `old` was."""
    return (*(each for each in known.before if each not in (old, new)), *([old] if old != new else []))[-KEPT:]


def _require_running(name: str, known: Channels, trial: Trial | None) -> None:
    if trial is not None and known.trial != trial:
        raise NoCanary(model=name)


def _require_free(store: Store, name: str, known: Channels) -> None:
    if known.pinned:
        raise Pinned(model=name, version=str(stable(store, name)))


def _numbered(store: Store, name: str, number: int) -> Version | None:
    return next((each for each in store.versions(name) if each.number == number), None)


def _tags(store: Store, name: str, changes: dict[str, int | None]) -> None:
    """Under the store's lock."""
    folder = store.models / folder_of(name)
    old = shelf.read(folder)
    tags = {**old.tags, **changes}
    shelf.save(shelf.Shelf(old.next, {tag: number for tag, number in tags.items() if number is not None}), folder)


def _save(store: Store, name: str, channels: Channels, decision: Decision) -> None:
    whole = replace(channels, decisions=(*channels.decisions, decision)[-KEPT:])
    write_whole(path(store, name), msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n")


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
