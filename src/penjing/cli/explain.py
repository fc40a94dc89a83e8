"""The verb `explain`, and `serve --explain`: how a model would be run on this machine, and why."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.model import Chosen, NotHere, model_options
from penjing.cli.verb import option, verb
from penjing.files import human
from penjing.language import say

if TYPE_CHECKING:
    from penjing.cli.local import Care
    from penjing.engines.llamacpp import EngineOptions
    from penjing.engines.llamacpp.derive import Derived

EXAMPLES = (
    ("penjing explain", "The built-in model."),
    ("penjing explain ./model.gguf --parallel 4", "What four conversations at once would need."),
)


@verb("explain", help="Show how a model would be run on this machine, and why. Nothing is loaded.", examples=EXAMPLES)
@model_options
@option("--embeddings", is_flag=True, default=None, help="As a model that turns texts into vectors.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(**given: Any) -> None:
    """The door."""
    from penjing.cli import local
    from penjing.cli.model import chosen, engine_options, require_known_sections

    require_known_sections()
    show(chosen(given), engine_options(given), local.care(given), as_json=given["as_json"])


def show(chosen: Chosen, options: EngineOptions, care: Care, *, as_json: bool) -> None:
    """Print every choice with its reason. Raises NotHere for a URL, and what `local.derive` raises."""
    if chosen.remote:
        raise NotHere(model=chosen.name)
    from penjing.cli.local import derive
    from penjing.store.resolve import find

    found = find(chosen.name, bits=chosen.bits, allow=care.allow)
    derived = derive(found, options, found.name, care, "chat")
    if as_json:
        talk.data_json(as_document(derived))
    else:
        print_table(derived)


def as_document(derived: Derived) -> dict[str, Any]:
    """For programs. Sizes in bytes; the reasons in the reader's language."""
    need = derived.need
    return {
        "model": derived.settings.name,
        "path": derived.settings.model,
        "choices": [
            {"name": choice.name, "value": choice.value, "why": choice.why(), "overridden": choice.overridden}
            for choice in derived.choices
        ],
        "memory": {**dataclasses.asdict(need), "total": need.total},
    }


def print_table(derived: Derived) -> None:
    """For people."""
    from penjing.cli.table import print_rows

    need = derived.need
    talk.data(f"{derived.settings.name}  {derived.settings.model}")
    print_rows([(choice.name, str(choice.value), choice.why()) for choice in derived.choices])
    talk.data(
        say(
            "Memory: about {total} = weights {weights} + context {kv} + computing {compute} + engine {runtime}",
            total=human(need.total),
            weights=human(need.weights),
            kv=human(need.kv),
            compute=human(need.compute),
            runtime=human(need.runtime),
        )
    )
