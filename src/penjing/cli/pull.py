"""The verb `pull`: a model comes here, whole and checked, from wherever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from penjing.cli import talk
from penjing.cli.verb import argument, option, verb
from penjing.errors import InputError, SettingError

if TYPE_CHECKING:
    from penjing.store.order import Order
    from penjing.store.pull import Pulled
    from penjing.store.version import Version

REASONS = {
    "only": "{label}: the only one there.",
    "checkpoint": "The original weights: there are no GGUF files. They are converted when they are first used.",
    "gpu": "{label}: the best of {count} that fits the GPU ({free} free, {context} tokens of context).",
    "best": "{label}: the best of {count}; more bits would change nothing that people notice ({context} tokens of "
    "context fit the {free} of free memory).",
    "fast": "{label}: the largest of {count} that answers quickly here and hardly differs from the original ({context} "
    "tokens of context fit the {free} of free memory).",
    "slow": "{label}: of {count} one of the quickest that hardly differ from the original; larger ones would be slower "
    "still.",
    "fits": "{label}: the best of {count} that fits the {free} of free memory ({context} tokens of context).",
    "tight": "{label}: it just fits the {free} of free memory (only {context} tokens of context).",
}
"""Why it was chosen where nobody said which."""
MOST_CONNECTIONS = 32
SHORT = 12
"""Letters of a revision that people see."""


class NothingNamed(InputError):
    """Facts: none."""

    template = "Say which model to fetch."
    hint = "penjing pull qwen3:0.6b, penjing pull hf:OWNER/REPO, or penjing pull --list for all short names."
    code = "missing_argument"


@verb(
    "pull",
    help="Fetch a model: a short name (qwen3:0.6b), hf:OWNER/REPO, ms:OWNER/REPO, an address, file:PATH, hub:NAME. "
    "What was stopped goes on where it was; every file is checked.",
    examples=(
        ("penjing pull qwen3:0.6b", "The quantization that fits this machine."),
        ("penjing pull hf:Qwen/Qwen3-4B-GGUF:Q4_K_M", "A certain one."),
        ("penjing pull ms:Qwen/Qwen3-4B-GGUF", "From ModelScope."),
        ("penjing pull --list", "All short names."),
        ("penjing pull qwen3:4b --list", "What there is of one model."),
    ),
)
@argument("model", metavar="[MODEL]")
@option("--name", metavar="NAME[:TAG]", help="What it is called here; as its source calls it where not given.")
@option("--output", metavar="DIR", help="Put the files there instead of into the store.")
@option("--connections", metavar="COUNT", help="Requests at once (8).")
@option("--list", "listing", is_flag=True, help="Show what there is, and fetch nothing.")
@option("--dry-run", "dry", is_flag=True, help="Show what would be fetched, and why.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def pull(
    model: str | None,
    name: str | None,
    output: str | None,
    connections: str | None,
    listing: bool,
    dry: bool,
    as_json: bool,
) -> None:
    """The door."""
    from penjing.cli import offers

    if listing:
        return offers.of_model(model, as_json) if model else offers.catalogue(as_json)
    if model is None:
        raise NothingNamed
    from penjing.store.order import order

    wanted = order(model, name=name or "", waiting=waiting)
    explain(wanted)
    if dry:
        return talk.data_json(ordered(wanted)) if as_json else offers.files(wanted)
    done = fetch(wanted, output, count(connections))
    if as_json:
        talk.data_json(pulled(done))
    elif output is not None:
        talk.data(str(done.path))
    return tell(done)


def fetch(wanted: Order, output: str | None, connections: int) -> Pulled:
    """Bring it, with its progress; a stop is said to be one that can be gone on from. Raises as `store.pull.pull`."""
    from penjing.cli.progress import shown
    from penjing.files import expanded
    from penjing.store.pull import Way
    from penjing.store.pull import pull as bring

    try:
        with shown() as report:
            way = Way(connections, report=report, waiting=waiting)
            return bring(wanted, output=expanded(output) if output else None, way=way)
    except KeyboardInterrupt:
        talk.note("Stopped. What has come is kept: the same command goes on from there.")
        raise


def count(connections: str | None) -> int:
    from msgspec import Meta

    from penjing.settings import wanted
    from penjing.store.download import CONNECTIONS

    if connections is None:
        return CONNECTIONS
    if not (connections.isdecimal() and 1 <= int(connections) <= MOST_CONNECTIONS):
        number = wanted(Annotated[int, Meta(ge=1, le=MOST_CONNECTIONS)])
        raise SettingError(name="connections", value=connections, wanted=number, source="--connections")
    return int(connections)


def waiting(host: str, seconds: float) -> None:
    """Said before a source is asked again."""
    if seconds >= 1:
        talk.note("{host} does not answer as it should; asked again in {seconds:.0f} s.", host=host, seconds=seconds)


def explain(wanted: Order) -> None:
    """Say where it comes from, what was chosen and why, and under which licence."""
    from penjing.files import human

    choice = wanted.choice
    revision = wanted.listing.revision[:SHORT] or "-"
    talk.note(
        "{source}, revision {revision}: {size}",
        source=wanted.listing.reference,
        revision=revision,
        size=human(wanted.bytes),
    )
    if choice.reason in REASONS:
        talk.note(
            REASONS[choice.reason],
            label=choice.variant.label,
            count=choice.others + 1,
            free=human(choice.free),
            context=choice.context,
        )
    if choice.pace:
        talk.note("Answers come at about {speed:.0f} tokens/s.", speed=choice.pace)
    elif choice.reason in ("fast", "slow"):
        talk.note("How quick it is here is assumed; penjing probe --calibrate measures it.")
    if wanted.listing.licence:
        talk.note("Licence: {licence}", licence=wanted.listing.licence)
    else:
        talk.note("Its source names no licence: {page}", page=wanted.listing.page)
    if wanted.listing.gated:
        talk.note("It is gated: its owner gives it to those who accept the licence at {page}", page=wanted.listing.page)


def tell(done: Pulled) -> None:
    """Say what it is called here."""
    from penjing.files import human

    if done.linked:
        talk.note("{size} of it was on this machine already.", size=human(done.linked))
    if done.version is None:
        talk.note("It is in {path}: penjing chat {path}", path=done.path)
        return
    text = "It was here already: penjing chat {name}" if done.known else "Kept as {version}: penjing chat {name}"
    called = done.order.called if done.version.name == done.order.name else done.version.name
    talk.note(text, version=done.version, name=called)
    _warn_of_distrust(done.version)


def _warn_of_distrust(version: Version) -> None:
    """Say at once what running it would say."""
    from penjing.cli.progress import shown
    from penjing.store.admitting import of_version, require_admitted
    from penjing.store.trust.faults import Distrusted

    try:
        with shown() as report:
            require_admitted(of_version(version), report=report)
    except Distrusted as refusal:
        talk.warn("{detail}", detail=refusal.message())
        talk.note("{detail}", detail=refusal.advice())


def ordered(wanted: Order) -> dict[str, object]:
    """An order for programs."""
    choice = wanted.choice
    return {
        "name": wanted.name,
        "tags": list(wanted.tags),
        "source": str(wanted.source),
        "page": wanted.listing.page,
        "licence": wanted.listing.licence,
        "gated": wanted.listing.gated,
        "quantization": choice.variant.label,
        "reason": choice.reason,
        "context": choice.context,
        "tokens_per_s": round(choice.pace, 1),
        "bytes": wanted.bytes,
        "files": [{"path": file.path, "bytes": file.bytes, "sha256": file.sha256} for file in wanted.files],
    }


def pulled(done: Pulled) -> dict[str, object]:
    """What was fetched, for programs."""
    files = [{"path": each.path, "bytes": each.bytes, "sha256": each.sha256} for each in done.manifest.files]
    return {
        **ordered(done.order),
        "files": files,
        "path": str(done.path),
        "version": str(done.version) if done.version else "",
        "digest": done.version.digest if done.version else "",
        "moved": done.moved,
        "linked": done.linked,
        "known": done.known,
    }
