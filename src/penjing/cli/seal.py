"""The verbs `seal` and `unseal`: a model's file is encrypted at rest, and made plain again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.cli.verb import argument, option, verb
from penjing.errors import InputError, SettingError

if TYPE_CHECKING:
    from pathlib import Path

    from penjing.store.resolve import Found
    from penjing.store.seal.form import Cipher
    from penjing.store.seal.keys import SealSettings
    from penjing.store.seal.sealing import MakeSlot
    from penjing.store.sealed import Lock


class OnlyInPlace(InputError):
    """Facts: none."""

    template = "--replace and --output do not go together: with --output the plain model stays."
    hint = "Leave one of them out."
    code = "conflicting_options"


class BuiltIn(InputError):
    """Facts: `model`."""

    template = "'{model}' is built in; everybody has it."
    hint = "Seal a model of yours: penjing seal ./model.gguf"
    code = "not_sealable"


@verb(
    "seal",
    help="Encrypt a model at rest; running it decrypts it into memory only. The plain one stays unless --replace.",
    examples=(
        ("penjing seal mine", "A model of the store becomes a sealed version; a passphrase is asked for."),
        ("penjing seal mine --key-command 'vault kv get -field=key ml/mine' --replace", "With a key of your KMS."),
        ("penjing seal ./model.gguf --keyring --output model.gguf.sealed", "A file, with the system's keyring."),
    ),
)
@argument("model", metavar="MODEL", required=True)
@option("--output", metavar="FILE", help="Where to; a file's copy goes beside it, a version's into the store.")
@option("--passphrase-file", metavar="FILE", help="Its first line opens the model.")
@option("--key-command", metavar="COMMAND", help="What it prints opens the model: 32 bytes in hexadecimal or base64.")
@option("--keyring", is_flag=True, help="A new key in the system's keyring opens it.")
@option("--cipher", metavar="NAME", help="aes-256-gcm or chacha20-poly1305; the first where not given.")
@option("--replace", is_flag=True, help="Remove the plain model afterwards; its tags go to the sealed one.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def seal(
    model: str,
    output: str | None,
    passphrase_file: str | None,
    key_command: str | None,
    keyring: bool,
    cipher: str | None,
    replace: bool,
    as_json: bool,
) -> None:
    """The door."""
    from penjing.store.resolve import find
    from penjing.store.seal.keys import settings

    if replace and output:
        raise OnlyInPlace
    found = find(model)
    if found.kind == "guide":
        raise BuiltIn(model=model)
    means = settings({"key_command": key_command, "passphrase_file": passphrase_file})
    lock = _lock(means, keyring, found.name, cipher_of(cipher))
    plain, target, model = _seal(found, output, lock, replace)
    if as_json:
        talk.data_json({"model": model, "path": str(target), "replaced": replace})
    talk.note("{path} is sealed. Run it with: penjing chat {model}", path=target, model=model)
    if not replace:
        talk.note("The plain model is still there: {path}", path=plain)


def _seal(found: Found, output: str | None, lock: Lock, replace: bool) -> tuple[Path, Path, str]:
    """The plain file, the sealed one, and what that is called. Raises what `seal_version` and `seal_file` raise."""
    from penjing.cli.progress import shown
    from penjing.files import expanded
    from penjing.store import sealed
    from penjing.store.seal.sealing import SUFFIX
    from penjing.store.versions import Store

    store = Store()
    with shown() as report:
        plain = found.source if found.version is None else store.path(found.version, report)
        if found.version is not None and not output:
            kept = sealed.seal_version(store, found.version, lock, replace=replace, report=report)
            return plain, kept.path, str(kept)
        target = expanded(output) if output else plain.with_name(plain.name + SUFFIX)
        sealed.seal_file(plain, target, lock, report)
        if replace:
            plain.unlink()
    return plain, target, str(target)


def cipher_of(text: str | None) -> Cipher:
    """Raises SettingError."""
    from penjing.settings import wanted
    from penjing.store.seal.form import CIPHERS, Cipher

    for each in CIPHERS:
        if text in (None, each):
            return each
    raise SettingError(name="cipher", value=text, wanted=wanted(Cipher), source="--cipher")


def _lock(means: SealSettings, keyring: bool, name: str, cipher: Cipher) -> Lock:
    """What shall open it. Raises NoWayToOpen, and what the ways raise."""
    from penjing.cli.passphrase import person, typed
    from penjing.store.seal import keys
    from penjing.store.seal.faults import NoWayToOpen
    from penjing.store.sealed import Lock

    ways: list[MakeSlot] = []
    if means.key_command:
        ways.append(partial(keys.command_slot, means.key_command))
    if means.passphrase_file:
        ways.append(partial(keys.passphrase_slot, keys.of_file(means.passphrase_file)))
    if keyring:
        ways.append(keys.keyring_slot)
    if ways:
        return Lock(tuple(ways), means, cipher=cipher)
    if not person():
        raise NoWayToOpen
    passphrase = typed(name, twice=True)
    return Lock((partial(keys.passphrase_slot, passphrase),), ask=lambda name: passphrase, cipher=cipher)


@verb(
    "unseal",
    help="Write a sealed model as a plain file again.",
    examples=(
        ("penjing unseal model.gguf.sealed --output model.gguf", "Whoever can read the file then has the model."),
    ),
)
@argument("model", metavar="MODEL", required=True)
@option("--output", metavar="FILE", required=True, help="The plain file.")
@option("--passphrase-file", metavar="FILE", help="Its first line opens the model.")
@option("--key-command", metavar="COMMAND", help="What it prints opens the model.")
def unseal(model: str, output: str, passphrase_file: str | None, key_command: str | None) -> None:
    """The door."""
    from penjing.cli import local
    from penjing.cli.progress import shown
    from penjing.files import expanded, human
    from penjing.store.resolve import find
    from penjing.store.seal.faults import NotSealed

    found = find(model)
    care = local.care({"passphrase_file": passphrase_file, "key_command": key_command})
    opened = local.opened(found, care)
    if opened is None:
        raise NotSealed(path=str(found.source), detail="it does not begin as one")
    target = expanded(output)
    with shown() as report:
        opened.write(target, report)
    talk.note("{path}: {size}, plain.", path=target, size=human(target.stat().st_size))
