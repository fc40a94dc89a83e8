"""Which engines of a server follow the store, and what a person is told when one is upgraded or a canary is decided.

Does not know: how either is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from penjing.cli import local, talk
from penjing.operate.following import Followed, Following, follows
from penjing.operate.release.trial import Place
from penjing.operate.release.trials import Trials
from penjing.operate.upgrade import NotUpgraded, Upgrade, Upgraded, UpgradeOptions
from penjing.settings import load
from penjing.store.faults import BadName
from penjing.store.resolve import find
from penjing.store.versions import Store

if TYPE_CHECKING:
    from penjing.cli.engines import Served
    from penjing.gateway.house import House
    from penjing.operate.supervise import Supervised
    from penjing.store.channels import Decision
    from penjing.store.version import Version

DECIDED = {
    "promoted": "{version} of {model} is stable now: {why}",
    "rolled_back": "{version} of {model} was rolled back: {why}",
}


def followed(engines: Mapping[str, Served]) -> dict[str, str]:
    """What the store calls those whose version may change, by the names of their engines."""
    found = {}
    for name, each in engines.items():
        if each.found is not None and each.found.version is not None:
            wanted = _wanted(each.found.name, each.found.version)
            if follows(wanted):
                found[name] = wanted
    return found


def _wanted(typed: str, version: Version) -> str:
    """What was typed, as the store calls it: a place (`hf:OWNER/REPO`) has a name there."""
    try:
        follows(typed)
    except BadName:
        return version.name
    return typed


def following(house: House, engines: Mapping[str, Served], policies: Mapping[str, object]) -> Following | None:
    """What keeps the engines at what the store says; None where none is from there. Raises SettingError."""
    from penjing.gateway.policies.audit import AuditOptions

    each = [
        Followed(name, wanted, number(engines[name]), partial(made, engines[name]))
        for name, wanted in followed(engines).items()
    ]
    if not each:
        return None
    store, audit = Store(), policies["audit"]
    assert isinstance(audit, AuditOptions)
    upgrade = Upgrade(house, load(UpgradeOptions, "upgrade").value)
    return Following(house, store, each, upgrade, Trials(Place(house, store, audit, tell_decision)), tell_upgrade)


def number(served: Served) -> int:
    """Of the version it serves."""
    found = served.found
    assert found is not None
    assert found.version is not None
    return found.version.number


def made(served: Served, version: Version, name: str) -> Supervised:
    """An engine for another version of a served model, run as that one is, not started. Nobody is asked for a
    passphrase: a server runs alone. Raises ModelError, NoSealKey."""
    care = replace(served.care, ask=None)
    found = find(str(version), bits=served.bits, allow=care.allow)
    return local.engine(found, name, served.options, care, found.make)


def tell_upgrade(said: Upgraded | NotUpgraded) -> None:
    """What became of an upgrade."""
    if isinstance(said, NotUpgraded):
        talk.warn("{detail}", detail=said.message())
    elif said.beside:
        template = "{model} is {version} now: ready after {seconds:.2f} s, nobody waited."
        talk.note(template, model=said.model, version=said.version, seconds=said.seconds)
    else:
        template = "{model} is {version} now: questions waited for {held:.2f} s, since both do not fit into memory."
        talk.note(template, model=said.model, version=said.version, held=said.held)


def tell_decision(name: str, decision: Decision) -> None:
    """What was decided about the canary of `name`."""
    template = DECIDED.get(decision.what)
    if template is not None:
        talk.note(template, model=name, version=decision.number, why=decision.why)
