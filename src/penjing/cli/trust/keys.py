"""`penjing trust list`, `add`, `remove`, `init`: the keys that count here, and those that sign."""

from __future__ import annotations

from pathlib import Path

from penjing.cli import talk
from penjing.cli.table import print_rows
from penjing.cli.verb import argument, option, verb
from penjing.language import say


@verb("list", help="Show the keys that are trusted here, and those that sign here.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_keys(as_json: bool) -> None:
    """The door."""
    from penjing.store import admitting
    from penjing.store.trust import book, keys

    trusted, policy = book.every(), admitting.policy().require
    own = {name: "" if keys.locked(name) else str(keys.load(name).public) for name in keys.names()}
    if as_json:
        talk.data_json(
            {
                "trusted": [
                    {"name": each.name, "id": each.public.id, "key": each.key, "models": list(each.models)}
                    for each in trusted
                ],
                "signing": [{"name": name, "key": key or None, "locked": not key} for name, key in own.items()],
                "require": policy,
            }
        )
        return
    if trusted:
        heads = (say("NAME"), say("ID"), say("MODELS"), say("KEY"))
        print_rows([heads, *((each.name, each.public.id, ", ".join(each.models), each.key) for each in trusted)])
    else:
        talk.note("No key is trusted here: penjing trust add NAME PUBKEY trusts one.")
    for name, key in own.items():
        talk.data(say("signing key {name}: {key}", name=name, key=key or say("locked with a passphrase")))
    talk.note(POLICIES[policy])


POLICIES = {
    None: "Models from a hub must be signed by one of these; [trust] require = true asks it of every model.",
    True: "Every model must be signed by one of these: [trust] require = true.",
    False: "No model must be signed: [trust] require = false.",
}


@verb(
    "add",
    help="Trust a key from now on: models it signed may be loaded.",
    examples=(
        ("penjing trust add office 'ed25519:...'", "What 'penjing trust init' printed there."),
        ("penjing trust add alice ~/alice.pub --models 'qwen3*'", "An OpenSSH key, for some models only."),
    ),
)
@argument("name", metavar="NAME", required=True)
@argument("key", metavar="PUBKEY|FILE", required=True)
@option("--models", metavar="PATTERN", multiple=True, help="Names it may sign, such as 'qwen3*'; may be given again.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def add(name: str, key: str, models: tuple[str, ...], as_json: bool) -> None:
    """The door."""
    from penjing.store.trust import book, keys

    added = book.add(name, keys.parse(key), models)
    if as_json:
        talk.data_json({"name": added.name, "id": added.public.id, "key": added.key, "models": list(added.models)})
    talk.note("{name} ({id}) is trusted for: {models}", name=name, id=added.public.id, models=", ".join(added.models))


@verb("remove", help="Trust a key no more.")
@argument("name", metavar="NAME", required=True)
@option("--signing-key", "signing", is_flag=True, help="Destroy the signing key of that name instead.")
def remove(name: str, signing: bool) -> None:
    """The door."""
    from penjing.store.trust import book, keys
    from penjing.store.trust.faults import NoSuchKey

    if signing:
        if not keys.discard(name):
            raise NoSuchKey(name=name)
        talk.note("The signing key {name} is gone.", name=name)
    else:
        book.remove(name)
        talk.note("{name} is not trusted any more.", name=name)


@verb(
    "init",
    help="Make a key to sign models with, and trust it here. What others need is printed.",
    examples=(
        ("penjing trust init", "The key 'own'."),
        ("penjing trust init release --passphrase", "Another one, which asks for a passphrase each time."),
    ),
)
@argument("name", metavar="[NAME]")
@option("--passphrase", "ask", is_flag=True, help="Lock it with a passphrase that is typed.")
@option("--passphrase-file", metavar="FILE", help="Lock it with the first line of a file.")
def init(name: str | None, ask: bool, passphrase_file: str | None) -> None:
    """The door."""
    from penjing.cli.passphrase import typed
    from penjing.files import expanded
    from penjing.store.seal.keys import of_file
    from penjing.store.trust import book, keys

    name = keys.name_of(name or keys.OWN)
    passphrase = of_file(expanded(passphrase_file)) if passphrase_file else ""
    if ask and not passphrase:
        passphrase = typed(name, twice=True)
    made = keys.make(name, passphrase)
    book.add(name, made.public)
    talk.data(str(made.public))
    talk.note("The signing key {name} is in {path}; whoever has that file can sign as you.", name=name, path=_at(name))
    talk.note("Others trust it with: penjing trust add {name} {key}", name=name, key=made.public)


def _at(name: str) -> Path:
    from penjing.store.trust import keys

    return keys.folder() / f"{name}.pem"
