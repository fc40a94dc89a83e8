"""The verb `shrink`: a model becomes as small as is wished; what that costs is told before and measured after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penjing.cli.verb import argument, option, verb
from penjing.errors import SettingError

if TYPE_CHECKING:
    from penjing.cli.shrink.order import Carried, Ordered
    from penjing.shrink.planning import Wish

EXAMPLES = (
    ("penjing shrink ./model --to 1.5GB", "The best model of that size; what is lost is measured."),
    ("penjing shrink guide --bits 4 --dry-run", "Only what is foreseen."),
    ("penjing shrink ./model --ratio 0.3 --output small", "Cut away 30 % of the weights, learn again, into a folder."),
    ("penjing shrink --recipe recipe.toml", "Steps of your own."),
)

FEWEST, MOST = 1.5, 16.0
"""Bits a weight."""


@verb("shrink", help="Make a model smaller: plan the steps, run them, measure what was lost.", examples=EXAMPLES)
@argument("model", metavar="[MODEL]")
@option("--to", metavar="SIZE", help="The file may take this much: 1.5GB, 800MiB ...")
@option("--bits", metavar="COUNT", help="So many bits a weight on average, 1.5 to 16.")
@option("--ratio", metavar="SHARE", help="Cut away this share of the weights: 0.3.")
@option("--recipe", metavar="FILE", help="Do the steps of this file; the options above change them.")
@option("--output", "-o", metavar="DIR", help="Write into this folder; a new version in the store where not given.")
@option("--name", metavar="NAME", help="What the result is called; MODEL-small where not given.")
@option("--dry-run", is_flag=True, help="Show the plan, do nothing.")
@option("--compare", is_flag=True, help="Measure the usual quantizations of MODEL too, for the picture in the report.")
@option("--keep", is_flag=True, help="Keep the results of the steps in between.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def shrink(
    model: str | None,
    to: str | None,
    bits: str | None,
    ratio: str | None,
    recipe: str | None,
    output: str | None,
    name: str | None,
    dry_run: bool,
    compare: bool,
    keep: bool,
    as_json: bool,
) -> None:
    """The door."""
    from dataclasses import replace

    from penjing.cli import talk
    from penjing.cli.model import require_known_sections
    from penjing.cli.shrink import order, shown
    from penjing.files import expanded

    require_known_sections()
    wish = wished(to, bits, ratio)
    file = expanded(recipe) if recipe else None
    ordered = order.order(model, wish, file, expanded(output) if output else None, name, compare=compare)
    ordered = replace(ordered, order=replace(ordered.order, keep=keep))
    if not as_json or not dry_run:
        shown.plan(ordered, quiet=as_json)
    if dry_run:
        if as_json:
            talk.data_json(shown.document(ordered))
        return
    carried = _run(ordered)
    if as_json:
        talk.data_json(shown.document(ordered, carried))
    else:
        shown.result(ordered, carried)


def _run(ordered: Ordered) -> Carried:
    """Does it; whoever stops it is told how it goes on."""
    from penjing.cli import talk
    from penjing.cli.shrink import order
    from penjing.errors import DiskFull

    try:
        return order.carry_out(ordered)
    except (KeyboardInterrupt, DiskFull):
        talk.note("Stopped. The same command goes on from here.")
        raise


def wished(to: str | None, bits: str | None, ratio: str | None) -> Wish:
    """What was asked for. Raises NoAmount, SettingError."""
    from penjing import amounts
    from penjing.shrink.planning import Wish

    return Wish(
        to=amounts.size(to) if to is not None else None,
        bits=_bits(bits) if bits is not None else None,
        ratio=share(ratio) if ratio is not None else None,
    )


def _bits(text: str) -> float:
    """Raises SettingError."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not FEWEST <= found <= MOST:
        raise SettingError(name="bits", value=text, wanted="a number from 1.5 to 16", source="--bits")
    return found


def share(text: str) -> float:
    """A share of the weights, as `0.3` or `30%`. Raises SettingError."""
    percent = text.strip().endswith("%")
    try:
        found = float(text.strip().rstrip("%")) / (100 if percent else 1)
    except ValueError:
        found = -1.0
    if not 0 < found < 1:
        raise SettingError(name="ratio", value=text, wanted="a share between 0 and 1, as 0.3", source="--ratio")
    return found
