"""What can be fetched: the catalogue's short names, the quantizations of one model, the files of one order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.cli.table import print_rows
from penjing.files import human
from penjing.language import say

if TYPE_CHECKING:
    from penjing.sources.catalogue import Entry
    from penjing.store.order import Order


def catalogue(as_json: bool) -> None:
    """Every short name."""
    import msgspec

    from penjing.sources.catalogue import entries

    found = list(entries().values())
    if as_json:
        talk.data_json(msgspec.to_builtins(found))
        return
    heads = (say("NAME"), say("SIZE"), say("MEMORY"), say("CONTEXT"), say("LICENCE"), say("LANGUAGES"))
    print_rows([heads, *(_row(entry) for entry in found)])
    talk.note("Sizes are of 4 bits a weight or the least there is, memory is about that of 4096 tokens.")
    talk.note("penjing pull NAME fetches one. Any other model: penjing pull hf:OWNER/REPO")


def _row(entry: Entry) -> tuple[str, ...]:
    return (
        entry.name,
        (human(entry.size) if entry.sizes else f"~{human(entry.size)}") if entry.size else "-",
        f"~{human(entry.memory)}" if entry.memory else "-",
        f"{entry.context:,}" if entry.context else "-",
        entry.licence or "-",
        _languages(entry),
    )


def _languages(entry: Entry) -> str:
    named = " ".join(entry.languages)
    more = say("{count} languages", count=entry.total) if entry.total > len(entry.languages) else ""
    return f"{named} ({more})" if named and more else named or more or "-"


def of_model(model: str, as_json: bool) -> None:
    """What there is of `model`, and which of it would be fetched here. Raises as `order`."""
    from penjing.cli.pull import waiting
    from penjing.sources.names import parse
    from penjing.store.order import offered

    found, known = offered(parse(model), waiting)
    if as_json:
        rows = [
            {
                "quantization": each.label,
                "kind": each.kind,
                "bytes": each.total,
                "files": [file.path for file in (*each.files, *each.beside)],
            }
            for each in known
        ]
        source = str(found.reference)
        talk.data_json({"source": source, "licence": found.licence, "gated": found.gated, "variants": rows})
        return
    heads = (say("QUANTIZATION"), say("SIZE"), say("FILES"))
    print_rows([heads, *((each.label, human(each.total), _names(each.files)) for each in known)])
    talk.note("penjing pull {model}:QUANTIZATION fetches one of them.", model=model.partition("#")[0])


def _names(files: tuple[object, ...]) -> str:
    paths = [str(getattr(file, "path", "")) for file in files]
    return paths[0] if len(paths) == 1 else say("{first} and {count} more", first=paths[0], count=len(paths) - 1)


def files(wanted: Order) -> None:
    """The files of an order."""
    print_rows([(file.path, human(max(file.bytes, 0)), file.sha256 or file.git or "-") for file in wanted.files])
