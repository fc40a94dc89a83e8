"""A model that is named and not on this machine yet is fetched where a person who can be asked wants it.

Does not know: engines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penjing.language import say

if TYPE_CHECKING:
    from penjing.cli.local import Care
    from penjing.store.resolve import Found


def found(name: str, bits: int | None, care: Care) -> Found:
    """As `resolve.find`; with `care.ask` a person is asked whether to fetch what is elsewhere. Raises what it raises,
    and what `pull` raises."""
    from penjing.store.resolve import NotFetched, find

    try:
        return find(name, bits=bits, allow=care.allow)
    except NotFetched:
        here = _fetched(name) if care.ask is not None else ""
        if not here:
            raise
    return find(here, bits=bits, allow=care.allow)


def _fetched(name: str) -> str:
    """What it is called here now; "" where the person did not want it."""
    import click

    from penjing.cli import pull
    from penjing.store.order import order

    wanted = order(name, waiting=pull.waiting)
    pull.explain(wanted)
    if not click.confirm(say("It is not on this machine yet. Fetch it now?"), default=True, err=True):
        return ""
    done = pull.fetch(wanted, None, pull.count(None))
    pull.tell(done)
    return str(done.version)
