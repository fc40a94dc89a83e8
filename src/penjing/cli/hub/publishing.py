"""`penjing hub publish`, `renew`, `list`: what a hub has."""

from __future__ import annotations

from penjing.cli import talk
from penjing.cli.hub.asking import asked, up_to
from penjing.cli.table import print_rows
from penjing.cli.verb import argument, option, verb
from penjing.language import say

SHORT = 12
"""Letters of a digest that people see."""
LONGEST = 3650.0


@verb(
    "publish",
    help="Sign a version of the store, send the hub the chunks it lacks, and let a channel be at it.",
    examples=(
        ("penjing hub publish qwen3", "What is stable here becomes stable for every device."),
        ("penjing hub publish qwen3@4 --channel canary", "For the devices of the channel canary."),
    ),
)
@argument("name", metavar="NAME[:TAG|@VERSION]", required=True)
@option("--channel", metavar="NAME", default="stable", help="The channel that moves (stable).")
@option("--days", metavar="COUNT", default="90", help="How long devices take it for current (90).")
@option(
    "--key", metavar="NAME", default="own", help="Which signing key; 'own', made at the first time, where not given."
)
@option("--hub", "url", metavar="URL", help="Which hub.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def publish(name: str, channel: str, days: str, key: str, url: str | None, as_json: bool) -> None:
    """The door."""
    import msgspec

    from penjing.cli.progress import shown
    from penjing.files import human
    from penjing.fleet import publish as work
    from penjing.store.versions import Store

    store = Store()
    version = store.find(name)
    signer = work.own_key(key, _passphrase(key))
    with asked(url) as hub, shown() as report:
        done = work.publish(store, version, hub, signer, channel, up_to(LONGEST, "days", days), report)
    if as_json:
        talk.data_json(msgspec.to_builtins(done))
    talk.note(
        "{version} is {channel} at {hub}: {sent} sent, of {whole}; release {counter}.",
        version=done.version,
        channel=done.channel,
        hub=hub.url,
        sent=human(done.bytes),
        whole=human(done.total),
        counter=done.counter,
    )


@verb(
    "renew",
    help="Sign a model's release again, so that devices go on taking it for current.",
    examples=(("penjing hub renew qwen3", "For 90 more days."),),
)
@argument("name", metavar="NAME", required=True)
@option("--days", metavar="COUNT", default="90", help="How long devices take it for current (90).")
@option(
    "--key", metavar="NAME", default="own", help="Which signing key; 'own', made at the first time, where not given."
)
@option("--hub", "url", metavar="URL", help="Which hub.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def renew(name: str, days: str, key: str, url: str | None, as_json: bool) -> None:
    """The door."""
    from penjing.fleet import publish as work
    from penjing.store.names import name_of

    name = name_of(name)
    signer = work.own_key(key, _passphrase(key))
    with asked(url) as hub:
        counter = work.renew(hub, name, signer, up_to(LONGEST, "days", days))
    if as_json:
        talk.data_json({"name": name, "counter": counter})
    talk.note(
        "The release of {model} is good for {days} more days; release {counter}.",
        model=name,
        days=days,
        counter=counter,
    )


@verb("list", help="Show which models a hub has, and where their channels are.")
@option("--hub", "url", metavar="URL", help="Which hub.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_models(url: str | None, as_json: bool) -> None:
    """The door."""
    import msgspec

    from penjing.fleet.believed import Believed

    with asked(url) as hub:
        believed = Believed(hub)
        names = [each.name for each in hub.released()]
        if names:
            believed.refresh()
        found = [believed.release(name) for name in names]
    if as_json:
        talk.data_json(msgspec.to_builtins(found))
    elif not found:
        talk.note("{hub} has no models yet: penjing hub publish MODEL", hub=hub.url)
    else:
        heads = [say(each) for each in ("MODEL", "CHANNEL", "VERSION", "DIGEST", "GOOD UNTIL")]
        rows = [
            [each.name, channel, target.version, target.manifest[:SHORT], f"{each.expires:%Y-%m-%d}"]
            for each in found
            for channel, target in sorted(each.channels.items())
        ]
        print_rows([heads, *rows])


def _passphrase(key: str) -> str:
    from penjing.cli.passphrase import person, typed
    from penjing.store.trust import keys

    return typed(key) if keys.locked(key) and person() else ""
