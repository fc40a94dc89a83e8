"""The verb `engine`: which builds of llama.cpp are on this machine, and which of them computes."""

from __future__ import annotations

from penjing.cli.engine.listing import list_libraries, use
from penjing.cli.engine.making import build
from penjing.cli.engine.measuring import bench
from penjing.cli.family import family

engine = family(
    "engine",
    "Compile llama.cpp for this very processor, choose and measure.",
    (build, list_libraries, use, bench),
    (
        ("penjing engine build", "Compile llama.cpp for this processor (some minutes)."),
        ("penjing engine list", "Which libraries are here?"),
        ("penjing engine bench", "How fast is each?"),
        ("penjing engine use native", "From now on use the one compiled here."),
    ),
)
