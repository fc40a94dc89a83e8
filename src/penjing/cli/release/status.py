"""`penjing release status`: what is stable, what is tried and how that goes, what was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.cli.table import print_rows
from penjing.cli.verb import argument, option, verb
from penjing.language import say

if TYPE_CHECKING:
    from penjing.operate.release.judge import Judge
    from penjing.store.channels import Decision
    from penjing.store.versions import Store

DECISIONS = {
    "tried": "tried",
    "promoted": "promoted",
    "rolled_back": "rolled back",
    "pinned": "pinned",
    "unpinned": "let go",
}
BY = {"person": "by a person", "gates": "by the gates", "hub": "by the hub"}


@verb(
    "status",
    help="Show which versions are out, how a canary does, and what was decided.",
    examples=(
        ("penjing release status", "All models of the store."),
        ("penjing release status qwen3", "One, with its gates and decisions."),
    ),
)
@argument("name", metavar="[NAME]")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(name: str | None, as_json: bool) -> None:
    """The door."""
    from penjing.store.versions import Store

    store = Store()
    known = [store.find(name).name] if name else list(dict.fromkeys(each.name for each in store.versions()))
    if as_json:
        every = [facts(store, each) for each in known]
        talk.data_json(every[0] if name else every)
    elif not known:
        talk.note("The store is empty: penjing pull NAME fetches a model, penjing store add keeps one of yours.")
    elif name:
        _one(store, known[0])
    else:
        heads = (say("MODEL"), say("STABLE"), say("CANARY"), say("STATE"))
        print_rows([heads, *(_row(store, each) for each in known)])


def facts(store: Store, name: str) -> dict[str, object]:
    """The channels of `name` for programs."""
    import msgspec

    from penjing.operate.release.kept import resumed
    from penjing.store import channels

    known = channels.read(store, name)
    tried = channels.canary(store, name)
    found: dict[str, object] = {
        "name": name,
        "stable": channels.stable(store, name).number,
        "pinned": known.pinned,
        "before": list(known.before),
        "canary": None,
        "decisions": msgspec.to_builtins(known.decisions),
    }
    if tried is not None:
        judge, at = resumed(store, name, tried[1])
        found["canary"] = {
            **msgspec.to_builtins(tried[1]),
            "verdict": judge.verdict,
            "judged": judge.plain(),
            "at": at and at.isoformat(),
        }
    return found


def _row(store: Store, name: str) -> tuple[str, str, str, str]:
    from penjing.operate.release.kept import resumed
    from penjing.store import channels

    known, tried = channels.read(store, name), channels.canary(store, name)
    stable = str(channels.stable(store, name))
    if tried is None:
        return name, stable, "-", say("pinned") if known.pinned else "-"
    version, trial = tried
    judge, _ = resumed(store, name, trial)
    return name, stable, f"{version} ({trial.share:.0%})", _far(judge)


def _far(judge: Judge) -> str:
    return say("{count} of {most} conversations", count=judge.conversations["canary"], most=judge.most)


def _one(store: Store, name: str) -> None:
    from penjing.operate.release.kept import resumed
    from penjing.store import channels

    known, tried = channels.read(store, name), channels.canary(store, name)
    rows = [(say("stable"), str(channels.stable(store, name)) + (f" ({say('pinned')})" if known.pinned else ""))]
    if known.before:
        rows.append((say("before"), ", ".join(f"{name}@{each}" for each in reversed(known.before))))
    if tried is None:
        print_rows(rows)
    else:
        version, trial = tried
        judge, at = resumed(store, name, trial)
        rows.append((say("canary"), f"{version} ({trial.share:.0%}): {_far(judge)}"))
        if at is None:
            rows.append(("", say("No server has judged it yet: penjing serve {model}", model=name)))
        print_rows(rows)
        _gates(judge)
    if known.decisions:
        talk.data("")
        print_rows([_decision(name, each) for each in reversed(known.decisions)])


def _decision(name: str, one: Decision) -> tuple[str, str, str, str]:
    why = one.why
    if isinstance(refusing := one.numbers.get("refusing"), list):
        gates = ", ".join(map(str, refusing))
        why = say("worse on {gates}", gates=gates) if refusing else say("no gate refused it")
    who = f"{say(BY[one.by])}{': ' + why if why else ''}"
    return f"{one.at.astimezone():%Y-%m-%d %H:%M}", f"{name}@{one.number}", say(DECISIONS[one.what]), who


def _gates(judge: Judge) -> None:
    limit = len(judge.gates) / judge.risk
    heads = (say("GATE"), say("ON THE CANARY"), say("OF"), say("AT MOST, IF NO WORSE"), say("EVIDENCE"))
    rows = [
        (each.name, str(each.hits), str(each.trials), f"{each.null:.0%}", f"{each.evidence:.3g} / {limit:.0f}")
        for each in judge.gates.values()
    ]
    talk.data("")
    print_rows([heads, *rows])
