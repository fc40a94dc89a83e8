"""`penjing store export`, `import`: versions on a USB disk, a share, any web server."""

from __future__ import annotations

from penjing.cli import talk
from penjing.cli.store.keeping import plain
from penjing.cli.verb import argument, option, verb


@verb(
    "export",
    help="Write versions into a folder that can be carried, or put on any web server.",
    examples=(
        ("penjing store export qwen3 --output /media/usb", "Whole, for a machine that has nothing."),
        ("penjing store export qwen3@3 --since qwen3@2 --output DIR", "Only what changed."),
    ),
)
@argument("names", metavar="NAME ...", required=True, many=True)
@option("--output", metavar="DIR", required=True, help="The folder; what is there already is not written again.")
@option("--since", metavar="NAME@VERSION", help="Leave out what this version has: it must be where they go to.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def export(names: tuple[str, ...], output: str, since: str | None, as_json: bool) -> None:
    """The door."""
    from penjing.cli.progress import shown
    from penjing.files import expanded, human
    from penjing.store import bundle
    from penjing.store.versions import Store

    store = Store()
    versions = [store.find(name) for name in names]
    base = None if since is None else store.find(since)
    folder = expanded(output)
    with shown() as report:
        written = bundle.export(store, versions, folder, base, report)
    if as_json:
        talk.data_json({"folder": str(folder), "versions": [str(each) for each in versions], "bytes": written})
    whole = sum(each.bytes for each in versions)
    talk.note("{path}: {written} written, of {whole}.", path=folder, written=human(written), whole=human(whole))


@verb(
    "import",
    help="Keep versions from such a folder or address; only what is missing here is read.",
    examples=(
        ("penjing store import /media/usb", "The newest version of every model there."),
        ("penjing store import https://models.example.org qwen3:stable", "One, from a web server."),
    ),
)
@argument("place", metavar="DIR|URL", required=True)
@argument("names", metavar="[NAME ...]", many=True)
@option("--retag", is_flag=True, help="Let tags mean what they mean there, also those that are set here.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def take(place: str, names: tuple[str, ...], retag: bool, as_json: bool) -> None:
    """The door."""
    from penjing.cli.progress import shown
    from penjing.store import bundle, fetch
    from penjing.store.versions import Store

    store = Store()
    with fetch.place(place) as source, shown() as report:
        found = bundle.take(store, source, names, report, retag=retag)
    if as_json:
        talk.data_json([plain(store, each) for each in found])
    for each in found:
        talk.note("{version} is here.", version=each)
