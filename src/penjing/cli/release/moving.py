"""`penjing release canary`, `promote`, `rollback`, `pin`: what a person decides. A server that runs follows within a
second."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.cli.release.status import facts
from penjing.cli.verb import argument, option, verb
from penjing.errors import InputError, SettingError

if TYPE_CHECKING:
    from penjing.store.channels import Decision, Trial
    from penjing.store.versions import Store

FOLLOWS = "A server that runs {model} follows by itself."
SHARE = "a share between 0% and 100%, such as 10%"


class NoSuchGate(InputError):
    """Facts: `value`, `known`."""

    template = "--worse {value}: this is no gate with a factor from 1 to 100."
    hint = "Write it as ttft=2. The gates: {known}"
    code = "invalid_value"


class TooFewConversations(InputError):
    """Facts: `count`, `least`, `risk`."""

    template = "{count} conversations tell nothing at a risk of {risk}."
    hint = "Give at least --conversations {least}, or a larger --risk."
    code = "invalid_value"


BESIDE = "There is room for both versions (about {needed} of {free}): nobody waits."
AFTER = (
    "There is no room for both versions (about {needed} of {free}): questions wait until the old one has finished "
    "and the new one is loaded."
)


@verb(
    "canary",
    help="Try a version with a share of the conversations; it is promoted or rolled back by itself.",
    examples=(
        ("penjing release canary qwen3@4", "With a tenth of the conversations, until 200 were its own."),
        ("penjing release canary qwen3@4 --worse ttft=2 --yardstick questions.jsonl", "It may be half as fast."),
    ),
)
@argument("name", metavar="NAME@VERSION", required=True)
@option("--share", metavar="PERCENT", default="10%", help="How many conversations it gets; 10% where not given.")
@option("--conversations", metavar="NUMBER", default="200", help="After how many it is promoted; 200 where not given.")
@option("--risk", metavar="PERCENT", default="5%", help="Of rolling back one that is no worse; 5% where not given.")
@option(
    "--worse", metavar="GATE=FACTOR", multiple=True, help="By how much it may be worse on a gate; may be given again."
)
@option("--yardstick", metavar="FILE|none", help="Questions that both versions are asked, and what answers must hold.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def canary(
    name: str, share: str, conversations: str, risk: str, worse: tuple[str, ...], yardstick: str | None, as_json: bool
) -> None:
    """The door."""
    from datetime import datetime, timezone

    from penjing.store import channels
    from penjing.store.versions import Store

    store = Store()
    found = store.find(name)
    trial = channels.Trial(
        found.number,
        datetime.now(timezone.utc),
        _share("--share", share, 0.9),
        _count("--conversations", conversations),
        _share("--risk", risk, 0.99),
        _factors(worse),
        _questions(yardstick),
    )
    _require_judged(trial)
    decision = channels.try_out(store, found, trial)
    talk.note(
        "{version} is tried with {share} of the conversations; {stable} answers the others.",
        version=found,
        share=f"{trial.share:.0%}",
        stable=channels.stable(store, found.name),
    )
    _done(store, found.name, decision, as_json)


@verb(
    "promote",
    help="Let a version be the one that the name means: the canary, or any.",
    examples=(
        ("penjing release promote qwen3", "The canary, without waiting for the gates."),
        ("penjing release promote qwen3@3", "Any version."),
    ),
)
@argument("name", metavar="NAME[@VERSION]", required=True)
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def promote(name: str, as_json: bool) -> None:
    """The door."""
    from penjing.store import channels, names
    from penjing.store.versions import Store

    store, wanted = Store(), names.parse(name)
    found = store.find(name)
    if not wanted.tag and not wanted.version:
        tried = channels.canary(store, name)
        if tried is None:
            raise channels.NoCanary(model=found.name)
        found = tried[0]
    decision = channels.promote(store, found)
    talk.note("{version} is stable now.", version=found)
    _done(store, found.name, decision, as_json)


@verb(
    "rollback",
    help="End the canary; where there is none, go back to the version that was stable before.",
    examples=(("penjing release rollback qwen3", "Take back what was done last."),),
)
@argument("name", metavar="NAME", required=True)
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def rollback(name: str, as_json: bool) -> None:
    """The door."""
    from penjing.store import channels
    from penjing.store.versions import Store

    store = Store()
    known = store.find(name).name
    decision = channels.rollback(store, known)
    talk.note("{version} is stable now.", version=channels.stable(store, known))
    _done(store, known, decision, as_json)


@verb(
    "pin",
    help="Keep a model at a version, whatever is published or tried.",
    examples=(
        ("penjing release pin qwen3", "At the version that is stable now."),
        ("penjing release pin qwen3 --off", "Let it move again."),
    ),
)
@argument("name", metavar="NAME[@VERSION]", required=True)
@option("--off", is_flag=True, help="Let it move again.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def pin(name: str, off: bool, as_json: bool) -> None:
    """The door."""
    from penjing.store import channels
    from penjing.store.versions import Store

    store = Store()
    found = store.find(name)
    if off:
        found = channels.stable(store, found.name)
    decision = channels.pin(store, found, on=not off)
    if off:
        talk.note("{model} moves again.", model=found.name)
    else:
        talk.note("{model} stays at {version}.", model=found.name, version=found)
    _done(store, found.name, decision, as_json)


def _done(store: Store, name: str, decision: Decision, as_json: bool) -> None:
    """What was decided is recorded, told, and shown."""
    from penjing.errors import MachineError
    from penjing.gateway.policies.audit import AuditOptions
    from penjing.operate.release.record import record
    from penjing.settings import load

    try:
        record(name, decision, load(AuditOptions, "audit").value)
    except MachineError as error:  # it is decided, and stands in the store
        talk.warn("The decision is not in the audit log: {detail}", detail=error.message())
    talk.note(FOLLOWS, model=name)
    if decision.what in ("tried", "promoted"):
        _foretell(store, name, decision.number)
    if as_json:
        talk.data_json(facts(store, name))


def _foretell(store: Store, name: str, number: int) -> None:
    """Say beforehand whether a server will hold both versions at once, where that can be known."""
    from penjing.errors import PenjingError
    from penjing.files import human
    from penjing.operate.upgrade import foretell

    with suppress(PenjingError, OSError):  # whoever loads it will say what is wrong with it
        told = foretell(store.find(f"{name}@{number}").path)
        talk.note(BESIDE if told.beside else AFTER, needed=human(told.needed), free=human(told.free))


def _share(option: str, given: str, most: float) -> float:
    """A share of 1 from `10%` or `0.1`. Raises SettingError."""
    try:
        found = float(given.rstrip("%")) / (100 if given.endswith("%") else 1)
    except ValueError:
        found = 0.0
    if not 0 < found <= most:
        raise SettingError(name=option[2:], value=given, wanted=SHARE, source=option)
    return found


def _count(option: str, given: str) -> int:
    if not given.isascii() or not given.isdigit() or not 0 < int(given) <= 1_000_000:
        raise SettingError(name=option[2:], value=given, wanted="a number from 1 to 1000000", source=option)
    return int(given)


def _factors(given: tuple[str, ...]) -> dict[str, float]:
    """Of `--worse GATE=FACTOR`. Raises SettingError."""
    from penjing.operate.release.judge import WORSE

    found = {}
    for each in given:
        gate, _, factor = each.partition("=")
        try:
            found[gate] = float(factor)
        except ValueError:
            found[gate] = 0.0
        if gate not in WORSE or not 1 <= found[gate] <= 100:
            raise NoSuchGate(value=each, known=", ".join(WORSE))
    return found


def _questions(given: str | None) -> str:
    """The whole path of a yardstick, which is read to see that it is one. Raises NotAYardstick."""
    from penjing.files import expanded
    from penjing.operate.release.yardstick import read

    if given in (None, "none"):
        return given or ""
    path = Path(expanded(str(given))).absolute()
    read(path)
    return str(path)


def _require_judged(trial: Trial) -> None:
    """Raises TooFewConversations where some gates could never refuse."""
    from penjing.operate.release.evidence import fewest
    from penjing.operate.release.judge import GATES

    least = fewest(0.5, trial.risk / len(GATES))
    if trial.conversations < least:
        raise TooFewConversations(count=trial.conversations, least=least, risk=f"{trial.risk:.2%}")
