"""`penjing store du`, `gc`, `verify`: how much room the store takes, freeing it, and whether all of it is whole."""

from __future__ import annotations

from penjing.cli import talk
from penjing.cli.table import print_rows
from penjing.cli.verb import option, verb
from penjing.errors import ModelCorrupt
from penjing.language import say

KEPT = {"in use": "in use", "damaged": "damaged"}
"""Why versions stay as they are."""


class StoreDamaged(ModelCorrupt):
    """Facts: `count`."""

    template = "The store is not as it should be: {count} faults."
    hint = "They are named above. Remove a damaged version and fetch it again; what is shared is fetched once."
    code = "store_damaged"


@verb("du", help="Show how much room the store takes, and what removing a version would free.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def usage(as_json: bool) -> None:
    """The door."""
    from penjing.files import human
    from penjing.store import cached
    from penjing.store.versions import Store

    used, conversions = Store().usage(), cached.usage()
    if as_json:
        versions = [{"version": str(each.version), "bytes": each.bytes, "frees": each.frees} for each in used.versions]
        sizes = {name: getattr(used, name) for name in ("disk", "packs", "unfinished", "apart")}
        talk.data_json({"versions": versions, **sizes, "conversions": conversions})
        return
    if used.versions:
        heads = (say("VERSION"), say("SIZE"), say("REMOVING IT FREES"))
        print_rows([heads, *((str(each.version), human(each.bytes), human(each.frees)) for each in used.versions)])
    print_rows(
        [
            (say("on disk"), human(used.disk)),
            (say("of that, chunks of versions at rest"), human(used.packs)),
            (say("of that, unfinished"), human(used.unfinished)),
            (say("each version by itself would take"), human(used.apart)),
            (say("conversions, beside the store"), human(conversions)),
        ]
    )


@verb(
    "gc",
    help="Free room: old versions without a tag keep only what is their own, and are put together when asked for. "
    "Conversions of models that are gone are removed.",
    examples=(
        ("penjing store gc --dry-run", "What would rest, and what that frees."),
        ("penjing store gc --unfinished", "Give up interrupted fetches too."),
    ),
)
@option("--dry-run", "dry", is_flag=True, help="Only show what would happen.")
@option("--unfinished", is_flag=True, help="Remove what interrupted fetches could go on with.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def gc(dry: bool, unfinished: bool, as_json: bool) -> None:
    """The door."""
    from penjing.cli.progress import shown
    from penjing.files import human
    from penjing.store import cached
    from penjing.store.versions import Store

    with shown() as report:
        done = Store().gc(unfinished=unfinished, dry=dry, report=report)
    every = cached.collect(dry=dry)
    dropped = [each for each in every if not each.used]
    freed = done.freed + sum(each.bytes for each in dropped)
    kept = {**done.kept, **{each.path.name: "in use" for each in every if each.used}}
    if as_json:
        removed = [{"path": str(each.path), "source": each.source, "bytes": each.bytes} for each in dropped]
        talk.data_json({"rested": list(done.rested), "kept": kept, "conversions": removed, "freed": freed})
        return
    for version in done.rested:
        talk.data(say("{version}: would rest" if dry else "{version}: at rest", version=version))
    for each in dropped:
        told = "{path}: would go, {source} is not what it was" if dry else "{path}: gone, {source} is not what it was"
        talk.data(say(told, path=each.path.name, source=each.source or "?"))
    for version, why in kept.items():
        talk.data(say("{version}: stays, it is {detail}", version=version, detail=KEPT[why]))
    talk.note("{size} would be freed." if dry else "{size} freed.", size=human(freed))


@verb("verify", help="Read everything in the store and compare it with what was promised.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(as_json: bool) -> None:
    """The door. Exits with 3 where something is wrong."""
    from penjing.cli.progress import shown
    from penjing.store.versions import Store

    store = Store()
    with shown() as report:
        faults = store.verify(report)
    if as_json:
        talk.data_json([{"where": fault.where, "detail": fault.detail} for fault in faults])
    elif faults:
        print_rows([(fault.where, fault.detail) for fault in faults])
    else:
        talk.data(say("{count} versions, each as it was promised.", count=len(store.versions())))
    if faults:
        raise StoreDamaged(count=len(faults))
