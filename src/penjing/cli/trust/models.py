"""`penjing trust sign`, `verify`: a model and its signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.cli.table import print_rows
from penjing.cli.verb import argument, option, verb
from penjing.language import say

if TYPE_CHECKING:
    from penjing.store.trust.admit import Subject
    from penjing.store.trust.keys import SigningKey

STATES = {
    "none": "not signed: it has no manifest",
    "unsigned": "not signed",
    "unknown": "signed by a key that is not trusted here for it",
    "signed": "signed, and as it was signed",
    "altered": "altered after it was signed",
}


@verb(
    "sign",
    help="Sign a model: its files are read, and your signature goes into its manifest.",
    examples=(
        ("penjing trust sign mine@3", "A version of the store; whoever fetches it gets the signature too."),
        ("penjing trust sign ./model.gguf --key release", "A file: writes model.gguf.manifest.json beside it."),
    ),
)
@argument("model", metavar="MODEL", required=True)
@option("--key", metavar="NAME", help="Which signing key; 'own' where not given.")
@option("--passphrase-file", metavar="FILE", help="Its first line opens the key.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def sign(model: str, key: str | None, passphrase_file: str | None, as_json: bool) -> None:
    """The door."""
    from penjing.cli.progress import shown
    from penjing.store import signing
    from penjing.store.resolve import find
    from penjing.store.versions import Store

    signer = _key(key, passphrase_file)
    found = find(model)
    with shown() as report:
        if found.version is not None:
            signing.sign_version(Store(), found.version, signer, report)
            place, name = found.version.folder / "manifest.json", str(found.version)
        else:
            place, name = signing.sign_path(found.source, signer, report), model
    if as_json:
        talk.data_json({"model": name, "manifest": str(place), "key": signer.public.id})
    talk.note(
        "{model} is signed by {name} ({id}): {path}", model=name, name=signer.name, id=signer.public.id, path=place
    )


def _key(name: str | None, passphrase_file: str | None) -> SigningKey:
    """Raises NoSuchKey, KeyLocked, BadKey."""
    from penjing.cli.passphrase import person, typed
    from penjing.files import expanded
    from penjing.store.seal.keys import of_file
    from penjing.store.trust import keys

    name = name or keys.OWN
    passphrase = of_file(expanded(passphrase_file)) if passphrase_file else ""
    if not passphrase and keys.locked(name) and person():
        passphrase = typed(name)
    return keys.load(name, passphrase)


@verb(
    "verify",
    help="Show who signed a model, and whether it is still what was signed. All of it is read.",
    examples=(("penjing trust verify qwen3", "Would it be loaded here?"),),
)
@argument("model", metavar="MODEL", required=True)
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(model: str, as_json: bool) -> None:
    """The door. Exits with 3 where it would not be loaded."""
    from penjing.cli.progress import shown
    from penjing.store import admitting
    from penjing.store.trust import admit

    subject = _subject(model)
    with shown() as report:
        verdict = admit.judge(subject, known=False, report=report)
    refusal = admit.refused(subject, verdict, admitting.policy().require)
    if as_json:
        talk.data_json(
            {
                "model": subject.model,
                "state": verdict.state,
                "signers": list(verdict.signers),
                "path": verdict.path,
                "detail": verdict.detail,
                "origin": subject.origin,
                "loads": refusal is None,
            }
        )
    else:
        rows = [(say("state"), say(STATES[verdict.state])), (say("signed by"), ", ".join(verdict.signers) or "-")]
        rows += [(say("origin"), subject.origin)] if subject.origin else []
        rows += [(say("loads here"), say("no" if refusal else "yes"))]
        print_rows(rows)
    if refusal is not None:
        raise refusal


def _subject(model: str) -> Subject:
    """Raises ModelNotFound, LostChunks."""
    from penjing.cli.progress import shown
    from penjing.store import admitting
    from penjing.store.resolve import find
    from penjing.store.trust.admit import subject
    from penjing.store.versions import Store

    found = find(model)
    if found.version is None:
        return subject(found.source, model)
    with shown() as report:
        Store().path(found.version, report)
    return admitting.of_version(found.version)
