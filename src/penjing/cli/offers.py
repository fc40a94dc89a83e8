"""What can be fetched: the catalogue's short names, the quantizations of one model, the files of one order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.cli.table import print_rows
from penjing.files import human
from penjing.language import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penjing.sources.catalogue import Entry
    from penjing.sources.source import Listing
    from penjing.sources.variants import Variant
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
    """What there is of `model`, and how much context fits beside each here. Raises as `order`."""
    from penjing.cli.pull import waiting
    from penjing.sources.names import parse
    from penjing.store.order import offered

    found, known = offered(parse(model), waiting)
    fits = _fits(found, known)
    if as_json:
        rows = [
            {
                "quantization": each.label,
                "kind": each.kind,
                "bytes": each.total,
                "context": fits.get(each.files[0].path),
                "files": [file.path for file in (*each.files, *each.beside)],
            }
            for each in known
        ]
        source = str(found.reference)
        talk.data_json({"source": source, "licence": found.licence, "gated": found.gated, "variants": rows})
        return
    heads = (say("QUANTIZATION"), say("SIZE"), say("CONTEXT THAT FITS"), say("FILES"))
    rows_shown = [(each.label, human(each.total), _room(fits.get(each.files[0].path)), _names(each)) for each in known]
    print_rows([heads, *rows_shown])
    if len(known) > 1:
        talk.note("penjing pull {model}:QUANTIZATION fetches one of them.", model=model)


def _fits(found: Listing, known: Sequence[Variant]) -> Mapping[str, int]:
    """Nothing where the header may not be read, or cannot."""
    from penjing.errors import AccessError, ModelError
    from penjing.sources.faults import NetworkError
    from penjing.store.choosing import contexts

    try:
        return contexts(found, known)
    except (AccessError, ModelError, NetworkError):
        return {}


def _room(context: int | None) -> str:
    """Tokens of context, or that it does not fit."""
    if context is None:
        return "-"
    return say("{tokens} tokens", tokens=f"{context:,}") if context else say("does not fit")


def _names(variant: Variant) -> str:
    first, more = variant.files[0].path, len(variant.files) - 1
    return say("{first} and {count} more", first=first, count=more) if more else first


def files(wanted: Order) -> None:
    """The files of an order."""
    print_rows([(file.path, human(max(file.bytes, 0)), file.sha256 or file.git or "-") for file in wanted.files])
