"""`penjing device sync`, `status`: rounds, once or from now on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.cli.table import print_rows
from penjing.cli.verb import option, verb
from penjing.language import say

if TYPE_CHECKING:
    from penjing.fleet.device.round import Went


@verb(
    "sync",
    help="Bring every model that the hub has for this machine to its release. Only what is missing here is fetched.",
    examples=(
        ("penjing device sync", "Once."),
        ("penjing device sync --follow", "Until Ctrl-C, as often as the hub says."),
    ),
)
@option("--follow", is_flag=True, help="Go on, as often as the hub says.")
@option("--json", "as_json", is_flag=True, help="Print JSON; with --follow a line a round that changed something.")
def sync(follow: bool, as_json: bool) -> None:
    """The door."""
    from penjing.cli.progress import shown
    from penjing.fleet.device.follow import follow as from_now_on
    from penjing.fleet.device.round import sync as once
    from penjing.store.versions import Store

    store = Store()
    if follow:
        from_now_on(store, lambda went: _tell(went, as_json, lines=True), talk.complain)
        return
    with shown() as report:
        went = once(store, report)
    _tell(went, as_json)
    if went.failed is not None:
        raise went.failed


def _tell(went: Went, as_json: bool, lines: bool = False) -> None:
    from penjing.files import human

    if as_json and not lines:
        talk.data_json(facts(went))
    elif as_json and (went.changed or went.faults):
        import json

        talk.data(json.dumps(facts(went), ensure_ascii=False))
    for each in went.changed:
        talk.note("{version} is stable now; {size} came.", version=each, size=human(went.moved))
    for model, fault in went.faults:
        if lines or not model:
            talk.warn("{detail}", detail=fault.message())
    if not lines and not went.changed and not went.faults:
        talk.note("Everything is as the hub wants it.")


def facts(went: Went) -> dict[str, object]:
    """For programs."""
    return {
        "changed": [str(each) for each in went.changed],
        "bytes": went.moved,
        "faults": [{"model": model, "code": fault.code, "detail": fault.message("en")} for model, fault in went.faults],
    }


@verb("status", help="Show which hub this machine follows, and how its last round went. Nothing is asked of the hub.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """The door."""
    import msgspec

    from penjing.fleet.device import joined
    from penjing.store.versions import Store

    known, went = joined.joined(), joined.fared()
    state = went.state
    if as_json:
        said = {"hub": known.url, "orders": known.orders, "mirrors": known.mirrors, "at": went.at, "state": state}
        talk.data_json(msgspec.to_builtins(said))
        return
    names = {each.digest: str(each) for each in Store().versions()}
    models = ", ".join(names.get(digest, name) for name, digest in sorted(state.models.items())) or "-"
    rows = [
        (say("hub"), known.url),
        (say("called there"), known.orders.name),
        (say("follows"), f"{known.orders.channel}: {', '.join(known.orders.models)}"),
        (say("last round"), went.at or "-"),
        (say("models"), models),
    ]
    print_rows([*rows, *([(say("last fault"), state.detail)] if state.detail else [])])
