"""`penjing store list`, `show`, `tag`, `rm`: which versions there are, and what they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.cli.table import print_rows
from penjing.cli.verb import argument, option, verb
from penjing.errors import InputError
from penjing.language import say

if TYPE_CHECKING:
    from penjing.store.version import Version
    from penjing.store.versions import Store

SHORT = 12
"""Letters of a digest that people see."""


class SeveralVersions(InputError):
    """Facts: `model`, `count`, `first`."""

    template = "'{model}' has {count} versions."
    hint = "Name one of them, such as {first}, or give --all."
    code = "ambiguous_name"


class UnclearTag(InputError):
    """Facts: none."""

    template = "Say which tag a version gets, or with --remove which NAME:TAG goes."
    hint = "penjing store tag NAME@2 stable, or: penjing store tag NAME:stable --remove"
    code = "invalid_value"


@verb("list", help="Show the models of the store.")
@argument("name", metavar="[NAME]")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_versions(name: str | None, as_json: bool) -> None:
    """The door."""
    from penjing.files import human
    from penjing.store.versions import Store

    store = Store()
    found = store.versions(name or "")
    if as_json:
        talk.data_json([plain(store, each) for each in found])
        return
    if not found:
        talk.note("The store is empty: penjing pull NAME fetches a model, penjing store add keeps one of yours.")
        return
    heads = (say("VERSION"), say("SIZE"), say("STATE"), say("DIGEST"), say("TAGS"))
    rows = [
        (str(each), human(each.bytes), _state(each), each.digest[:SHORT], ", ".join(_tags(store, each)))
        for each in found
    ]
    print_rows([heads, *rows])


@verb(
    "show",
    help="Show everything about one version.",
    examples=(
        ("penjing store show qwen3", "The version that chat and serve would take."),
        ("penjing store show qwen3@2 --json", "Another, for a program."),
    ),
)
@argument("name", metavar="NAME", required=True)
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, as_json: bool) -> None:
    """The door."""
    import json

    from penjing.files import human
    from penjing.store.versions import Store

    store = Store()
    found = store.find(name)
    facts = plain(store, found)
    if as_json:
        talk.data_json(facts)
        return
    manifest = found.manifest
    rows = [
        (say("version"), f"{found} ({manifest.version})"),
        (say("tags"), ", ".join(_tags(store, found)) or "-"),
        (say("digest"), found.digest),
        (say("state"), _state(found)),
        (say("path"), str(found.path)),
        (say("licence"), manifest.licence or "-"),
        (say("made from"), manifest.parent or "-"),
    ]
    for label, values in (
        (say("facts"), manifest.facts),
        (say("recipe"), manifest.recipe),
        (say("quality"), manifest.quality),
    ):
        rows += [(f"{label}: {key}", json.dumps(value, ensure_ascii=False)) for key, value in values.items()]
    rows += [
        (say("file"), f"{entry.path}  {human(entry.bytes)}  sha256:{entry.sha256[:SHORT]}") for entry in manifest.files
    ]
    print_rows(rows)


@verb(
    "tag",
    help="Give a version a tag; whoever asks for NAME:TAG gets it. NAME alone means the one tagged stable.",
    examples=(
        ("penjing store tag qwen3@2 stable", "From now on qwen3 means version 2."),
        ("penjing store tag qwen3:canary --remove", "Take a tag away."),
    ),
)
@argument("name", metavar="NAME", required=True)
@argument("tag", metavar="[TAG]")
@option("--remove", "gone", is_flag=True, help="Take the tag of NAME:TAG away.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def tag(name: str, tag: str | None, gone: bool, as_json: bool) -> None:
    """The door."""
    from penjing.store.names import parse
    from penjing.store.versions import Store

    wanted = parse(name)
    if gone is (tag is not None) or (gone and not wanted.tag):
        raise UnclearTag
    store = Store()
    if gone:
        store.tag(wanted.name, wanted.tag, None)
        talk.note("{name} means nothing any more.", name=name)
    else:
        store.tag(wanted.name, str(tag), store.find(name))
        talk.note(
            "{name} means {version} now.", name=f"{wanted.name}:{tag}", version=store.find(f"{wanted.name}:{tag}")
        )
    if as_json:
        talk.data_json(store.tags(wanted.name))


@verb(
    "rm",
    help="Remove versions from the store. What an engine uses stays.",
    examples=(
        ("penjing store rm qwen3@2", "One version."),
        ("penjing store rm qwen3 --all", "All its versions."),
    ),
)
@argument("given", metavar="NAME ...", required=True, many=True)
@option("--all", "everything", is_flag=True, help="All versions of each NAME.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def remove(given: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """The door."""
    from penjing.store.versions import Store

    store = Store()
    meant = {str(each): each for name in given for each in _meant(store, name, everything)}
    done = []
    for each in meant.values():
        done.append(str(store.remove(each)))
        talk.note("{version} is removed.", version=each)
    if as_json:
        talk.data_json(done)


def _meant(store: Store, text: str, everything: bool) -> list[Version]:
    """What `rm` means by a word. Raises NotInStore, SeveralVersions."""
    found = store.find(text)
    alike = store.versions(found.name)
    if everything:
        return alike
    if len(alike) > 1 and not {":", "@"} & set(text):
        raise SeveralVersions(model=found.name, count=len(alike), first=str(alike[0]))
    return [found]


def plain(store: Store, found: Version) -> dict[str, object]:
    """A version for programs."""
    import msgspec

    return {
        "name": found.name,
        "number": found.number,
        "digest": found.digest,
        "tags": _tags(store, found),
        "plain": found.plain,
        "bytes": found.bytes,
        "path": str(found.path),
        "manifest": msgspec.to_builtins(found.manifest),
    }


def _tags(store: Store, found: Version) -> list[str]:
    return sorted(tag for tag, number in store.tags(found.name).items() if number == found.number)


def _state(found: Version) -> str:
    return say("ready") if found.plain else say("at rest")
