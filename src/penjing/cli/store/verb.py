"""The verb `store`: which models this machine keeps, in which versions, and how they travel."""

from __future__ import annotations

from penjing.cli.family import family
from penjing.cli.store.adding import add
from penjing.cli.store.keeping import list_versions, remove, show, tag
from penjing.cli.store.room import gc, usage, verify
from penjing.cli.store.travel import export, take

store = family(
    "store",
    "Show and arrange the models that this machine keeps.",
    (list_versions, show, add, tag, remove, usage, gc, verify, export, take),
    (
        ("penjing store list", "Which models are here?"),
        ("penjing store gc", "Free room: old versions keep only what is their own."),
        ("penjing store export qwen3 --output /media/usb", "Carry a model to another machine."),
    ),
)
