"""`penjing hub token`, `devices`, `assign`, `forget`: who follows a hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.cli.hub.asking import asked, up_to
from penjing.cli.table import print_rows
from penjing.cli.verb import argument, option, verb
from penjing.errors import InputError, SettingError
from penjing.language import say

if TYPE_CHECKING:
    from penjing.fleet.wire import Device

MOST_HOURS = 24.0 * 365
DOING = {"resting": "up to date", "fetching": "fetching", "failed": "failed"}


class NothingAssigned(InputError):
    """Facts: none."""

    template = "Say what the device is to follow."
    hint = "penjing hub assign DEVICE --channel canary, or --models 'qwen3*,guide'"
    code = "missing_argument"


@verb(
    "token",
    help="Make a token that lets one device in, once.",
    examples=(
        ("penjing hub token", "For the channel stable of all models, good for a day."),
        ("penjing hub token --channel canary --models 'qwen3*'", "For a device that tries things first."),
    ),
)
@option("--channel", metavar="NAME", default="stable", help="The channel that the device follows (stable).")
@option("--models", metavar="PATTERN,...", default="*", help="Which models (* for all).")
@option("--hours", metavar="COUNT", default="24", help="How long it can be used (24).")
@option("--hub", "url", metavar="URL", help="Which hub.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def token(channel: str, models: str, hours: str, url: str | None, as_json: bool) -> None:
    """The door."""
    from penjing.fleet.wire import Wish
    from penjing.store.names import tag_of

    wish = Wish(tag_of(channel), patterns(models), up_to(MOST_HOURS, "hours", hours))
    with asked(url) as hub:
        made = hub.token(wish)
    if as_json:
        talk.data_json({"token": made, "hub": hub.url})
    else:
        talk.data(made)
    talk.note("On the device: penjing device join {hub} --token {token}", hub=hub.url, token=made)


@verb(
    "devices",
    help="Show which devices follow a hub, with which versions, and how they fare.",
    examples=(("penjing hub devices --json", "For programs."),),
)
@option("--hub", "url", metavar="URL", help="Which hub.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def devices(url: str | None, as_json: bool) -> None:
    """The door."""
    import msgspec

    with asked(url) as hub:
        found = hub.devices()
        if not as_json:
            names = {entry.digest: f"{entry.name}@{entry.number}" for entry in hub.contents().versions}
    if as_json:
        talk.data_json(msgspec.to_builtins(found))
    elif not found:
        talk.note("No device has joined yet: penjing hub token")
    else:
        heads = [say(each) for each in ("DEVICE", "CHANNEL", "MODELS", "STATE", "SEEN", "LAST FAULT")]
        print_rows([heads, *(_row(each, names) for each in found)])


def _row(each: Device, names: dict[str, str]) -> list[str]:
    models = ", ".join(names.get(digest, f"{name}@?") for name, digest in sorted(each.state.models.items())) or "-"
    doing = say(DOING.get(each.state.doing, each.state.doing))
    return [each.name, each.channel, models, doing, each.seen, each.state.detail or "-"]


@verb(
    "assign",
    help="Let a device follow another channel or other models.",
    examples=(("penjing hub assign reception --channel canary", "From its next round on."),),
)
@argument("device", metavar="DEVICE", required=True)
@option("--channel", metavar="NAME", help="The channel that the device follows.")
@option("--models", metavar="PATTERN,...", help="Which models (* for all).")
@option("--hub", "url", metavar="URL", help="Which hub.")
def assign(device: str, channel: str | None, models: str | None, url: str | None) -> None:
    """The door."""
    from penjing.fleet.wire import Change
    from penjing.store.names import tag_of

    if channel is None and models is None:
        raise NothingAssigned
    change = Change(tag_of(channel) if channel is not None else None, patterns(models) if models is not None else None)
    with asked(url) as hub:
        hub.change(device, change)
    talk.note("{device} hears of it in its next round.", device=device)


@verb("forget", help="Let a device in no more; what it has stays with it.")
@argument("device", metavar="DEVICE", required=True)
@option("--hub", "url", metavar="URL", help="Which hub.")
def forget(device: str, url: str | None) -> None:
    """The door."""
    with asked(url) as hub:
        hub.forget(device)
    talk.note("{device} is let in no more.", device=device)


def patterns(text: str) -> tuple[str, ...]:
    """Patterns of names, parted by commas. Raises SettingError."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise SettingError(
            name="models", value=text, wanted=say("a list, each {one}", one=say("text")), source="--models"
        )
    return found
