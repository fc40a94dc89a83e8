"""Decisions about versions in the audit log: who let which version of a model go where, why, and the numbers.

They are written also where requests are not: only `[audit] enabled = false` keeps them out.

Does not know: who decides.
"""

from __future__ import annotations

from penjing.gateway.audit.log import now
from penjing.gateway.house import House
from penjing.gateway.policies.audit import AuditOptions, opened
from penjing.store.channels import Decision


def entry(name: str, decision: Decision) -> dict[str, object]:
    """The record of a decision about the model `name`."""
    return {
        "at": now(),
        "what": "release",
        "model": name,
        "version": f"{name}@{decision.number}",
        "decision": decision.what,
        "by": decision.by,
        "why": decision.why,
        "numbers": decision.numbers,
    }


def record(name: str, decision: Decision, options: AuditOptions, house: House | None = None) -> None:
    """Write it down: into the log of `house` where it keeps one, else into a log of this machine, which is on disk when
    this returns. Raises AuditInUse, AuditUnavailable."""
    said = entry(name, decision)
    if house is not None and house.record is not None:
        house.record(lambda: said)
    elif options.enabled is not False:
        log = opened(options)
        try:
            log.add(lambda: said)
        finally:
            log.close()
