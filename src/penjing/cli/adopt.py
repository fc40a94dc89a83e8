"""The verb `adopt`: models that other programs keep are used without being copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.cli.table import print_rows
from penjing.cli.verb import argument, option, verb
from penjing.errors import InputError, SettingError
from penjing.language import say

if TYPE_CHECKING:
    from penjing.store.neighbours import Found
    from penjing.store.version import Version
    from penjing.store.versions import Store

OWNERS = {
    "huggingface": "Hugging Face",
    "modelscope": "ModelScope",
    "ollama": "Ollama",
    "lmstudio": "LM Studio",
    "folder": "--folder",
}


class AllOrSome(InputError):
    """Facts: none."""

    template = "--all takes everything; names take some."
    hint = "Leave one of them out."
    code = "not_together"


@verb(
    "adopt",
    help="Use models that Hugging Face's tools, ModelScope, Ollama or LM Studio keep here, without copying them. "
    "Without a name: show them.",
    examples=(
        ("penjing adopt", "What do they keep?"),
        ("penjing adopt qwen3:4b", "Then: penjing chat qwen3:4b"),
        ("penjing adopt --all --from ollama", "Everything that Ollama keeps."),
    ),
)
@argument("given", metavar="[NAME ...]", many=True)
@option("--all", "everything", is_flag=True, help="Adopt everything that is shown.")
@option("--from", "owner", metavar="PROGRAM", help="Only that of huggingface, modelscope, ollama or lmstudio.")
@option("--folder", metavar="DIR", help="Look into this folder of models instead, wherever it is.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def adopt(given: tuple[str, ...], everything: bool, owner: str | None, folder: str | None, as_json: bool) -> None:
    """The door."""
    from penjing.store.adopt import chosen
    from penjing.store.versions import Store

    if everything and given:
        raise AllOrSome
    known = _known(owner, folder)
    store = Store()
    if not everything and not given:
        return _show(store, known, as_json)
    wanted = known if everything else [chosen(known, name) for name in given]
    done = [(each, _adopt(store, each)) for each in dict.fromkeys(wanted)]
    if as_json:
        talk.data_json([plain(each, version) for each, version in done])
    return None


def _known(owner: str | None, folder: str | None) -> list[Found]:
    from penjing.files import expanded
    from penjing.store import neighbours

    if owner is not None and owner not in OWNERS:
        raise SettingError(name="from", value=owner, wanted=", ".join(OWNERS), source="--from")
    found = neighbours.within(expanded(folder)) if folder else neighbours.found()
    return [each for each in found if owner in (None, each.owner)]


def _adopt(store: Store, found: Found) -> Version:
    from penjing.cli.progress import shown
    from penjing.store.adopt import adopt as take
    from penjing.store.adopt import adopted, spelled

    here = adopted(store.versions(), found)
    with shown() as report:
        kept = take(store, found, report)
    name = f"{kept.name}:{tags[0]}" if (tags := _tags(store, kept)) else kept.name
    if here is not None and here.folder == kept.folder:
        talk.note("{model} was adopted before: penjing chat {name}", model=spelled(found), name=name)
    elif any(path.is_symlink() for path in kept.files):
        talk.note(
            "Kept as {version}: penjing chat {name}. It is on another disk: it must stay at {path}.",
            version=kept,
            name=name,
            path=kept.path.resolve(),
        )
    else:
        talk.note("Kept as {version}: penjing chat {name}", version=kept, name=name)
    return kept


def _tags(store: Store, kept: Version) -> list[str]:
    return sorted(tag for tag, number in store.tags(kept.name).items() if number == kept.number)


def _show(store: Store, known: list[Found], as_json: bool) -> None:
    from penjing.files import human
    from penjing.store.adopt import adopted, spelled

    versions = store.versions()
    here = [(each, adopted(versions, each)) for each in known]
    if as_json:
        return talk.data_json([plain(each, version) for each, version in here])
    if not here:
        return talk.note("No other program here keeps models, as far as penjing knows where they do.")
    heads = (say("PROGRAM"), say("NAME"), say("SIZE"), say("ADOPTED"))
    rows = [
        (OWNERS[each.owner], spelled(each), human(each.bytes), str(version) if version else "-")
        for each, version in here
    ]
    print_rows([heads, *rows])
    return talk.note("penjing adopt NAME uses one of them without copying it.")


def plain(found: Found, version: Version | None) -> dict[str, object]:
    """One model for programs; `version` is empty where it was not adopted."""
    from penjing.store.adopt import spelled

    return {
        "program": found.owner,
        "name": spelled(found),
        "quantization": found.label,
        "bytes": found.bytes,
        "licence": found.licence,
        "source": found.source,
        "files": [str(path) for _, path in found.files],
        "version": str(version) if version else "",
        "path": str(version.path) if version else "",
        "linked": bool(version) and not any(path.is_symlink() for path in version.files) if version else False,
    }
