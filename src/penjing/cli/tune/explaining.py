"""What `penjing tune` chose, among the choices that `--explain` shows: which it made, when, out of how many.

Does not know: how it was found, what else is chosen.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.engines.llamacpp.sheet import Choice

if TYPE_CHECKING:
    from penjing.engines.llamacpp import EngineOptions
    from penjing.engines.llamacpp.derive import Derived
    from penjing.operate.tune.kept import Tuned
    from penjing.operate.tune.ways import Way
    from penjing.store.resolve import Found

QUICKEST = "the quickest of {count} ways for {workload} on {when}; all of them: penjing tune MODEL --show"
USUAL = "the usual way: no other of {count} was worth a change for {workload} on {when}"
LEFT = "chosen for {workload} on {when}, but what you asked for leaves no choice, or it is not here any more"
MINE = "penjing tune chose it"


def explained(
    derived: Derived, found: Found, asked: EngineOptions, used: EngineOptions, path: Path, workload: str
) -> Derived:
    """`derived` of `used`, which is what a person `asked` for with what was chosen for `workload`: each choice says
    whose it is, and the first sums them up. As it is where nothing was tuned."""
    from penjing.operate.tune import kept, ways
    from penjing.probe import machine

    known = kept.read(machine.read(), path) if kept.any_kept() and found.kind != "sealed" else None
    way = known.way(workload) if known else None
    if known is None or way is None:
        return derived
    changed = {name for name in ways.TURNED if getattr(asked, name) != getattr(used, name)}
    whose = [_tuned(each) if each.name in changed else each for each in derived.choices]
    return replace(derived, choices=(_summed(known, way, workload, changed=bool(changed)), *whose))


def _tuned(choice: Choice) -> Choice:
    return replace(choice, reason=MINE, facts={}, overridden=False)


def _summed(known: Tuned, way: Way, workload: str, *, changed: bool) -> Choice:
    usual = bool(known.tried) and way == known.tried[0].way
    reason = USUAL if usual else QUICKEST if changed else LEFT
    facts = {"count": len(known.tried), "workload": known.wanted or workload, "when": known.when[:10]}
    return Choice("tune", ", ".join(filter(None, (way.computes, way.turned))), reason, facts)
