"""`penjing device join`, `leave`."""

from __future__ import annotations

from penjing.cli import talk
from penjing.cli.verb import argument, option, verb
from penjing.errors import InputError


class NoToken(InputError):
    """Facts: none."""

    template = "A token is needed to join a hub."
    hint = "Whoever runs the hub makes one (penjing hub token); give it with --token, or set PENJING_TOKEN."
    code = "missing_argument"


@verb(
    "join",
    help="Let this machine follow a hub, with a token that whoever runs it has made. The keys of its publishers are "
    "trusted here from then on.",
    examples=(("penjing device join https://hub.example:8800 --token penjing1....", "The token works once."),),
)
@argument("url", metavar="URL", required=True)
@option("--token", metavar="TOKEN", envvar="PENJING_TOKEN", show_envvar=True, help="What penjing hub token printed.")
@option("--name", metavar="NAME", help="What it is called at the hub; this machine's name where not given.")
@option("--mirrors", metavar="URL,...", help="Where to look for chunks before the hub is asked; they need no trust.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def join(url: str, token: str | None, name: str | None, mirrors: str | None, as_json: bool) -> None:
    """The door."""
    from penjing.fleet.device import joined

    if not token:
        raise NoToken
    places = [part.strip() for part in (mirrors or "").split(",") if part.strip()]
    found = joined.join(url, token, name or "", places)
    if as_json:
        talk.data_json({"hub": found.url, "name": found.orders.name, "channel": found.orders.channel})
    talk.note(
        "This machine follows {channel} of {models} at {hub} as '{name}': penjing device sync",
        channel=found.orders.channel,
        models=", ".join(found.orders.models),
        hub=found.url,
        name=found.orders.name,
    )


@verb("leave", help="Follow the hub no more, and trust its publishers no more. Models stay.")
def leave() -> None:
    """The door."""
    from penjing.fleet.device import joined

    known, heard = joined.leave()
    talk.note("This machine follows {hub} no more.", hub=known.url)
    if not heard:
        talk.warn("It could not be told so; there: penjing hub forget {device}", device=known.orders.device)
