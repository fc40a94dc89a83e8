"""What can be wrong with keys, signatures and releases, one class a fault.

    InputError
    ├── BadKey
    ├── BadKeyName
    ├── NoSuchKey
    ├── KeyNameTaken
    ├── KeyLocked
    ├── KeyDamaged
    ├── NotSignable
    ├── NothingToSign
    └── PolicyOfAFolder
    ModelError
    └── Distrusted            a model that may not be loaded, a release that may not be followed (HTTP 403)
        ├── Unsigned
        ├── UnknownSigner
        ├── Altered
        └── ReleaseRefused
            ├── BadDocument
            ├── WrongKey
            ├── Expired
            ├── RolledBack
            └── Swapped

Does not know: who raises them.
"""

from __future__ import annotations

from penjing.errors import InputError, ModelError


class BadKey(InputError):
    """Facts: `value` (its beginning), `detail`."""

    template = "'{value}' is not a public key: {detail}"
    hint = (
        "Give what 'penjing trust init' printed (ed25519:...), a line of OpenSSH (ssh-ed25519 ...), or a file with one."
    )
    code = "invalid_key"


class BadKeyName(InputError):
    """Facts: `value`."""

    template = "'{value}' cannot be the name of a key."
    hint = "Letters, digits and . _ @ - make a name."
    code = "invalid_name"


class NoSuchKey(InputError):
    """Facts: `name`."""

    template = "There is no key '{name}' here."
    hint = "penjing trust list shows the keys; penjing trust init makes one to sign with."
    code = "key_not_found"
    status = 404


class KeyNameTaken(InputError):
    """Facts: `name`."""

    template = "There is a key '{name}' already, and it is another one."
    hint = "Choose another name, or take the old one away first: penjing trust remove {name}"
    code = "name_taken"


class KeyLocked(InputError):
    """A signing key with a passphrase that was not given, or is another. Facts: `name`."""

    template = "The signing key '{name}' does not open with this passphrase."
    hint = "Try again; the passphrase is what it was made with."
    code = "key_locked"


class KeyDamaged(InputError):
    """Facts: `path`, `detail`."""

    template = "{path} is not a list of keys: {detail}"
    hint = "Put back a copy, or move it away and trust the keys again."
    code = "keys_damaged"


class NotSignable(InputError):
    """Facts: `what`, `detail`."""

    template = "{what} cannot be signed: {detail}"
    hint = "Correct that value, then sign again."
    code = "not_signable"


class NothingToSign(InputError):
    """Facts: `path`."""

    template = "{path} has no manifest that says what it is."
    hint = "Name a .gguf file, a folder with manifest.json, or a version in the store."
    code = "nothing_to_sign"


class PolicyOfAFolder(InputError):
    """A folder that was merely entered must not lower what this machine demands. Facts: `source`."""

    template = "{source}, a file of the current folder, says that models need no signature."
    hint = "Put [trust] require = false into PENJING_HOME/config.toml, or give --allow-untrusted this once."
    code = "invalid_setting"


class Distrusted(ModelError):
    """Facts: `model`."""

    template = "{model} is not trusted here."
    hint = "penjing trust verify {model} says why; --allow-untrusted loads it all the same."
    code = "model_untrusted"
    status = 403


class Unsigned(Distrusted):
    """Facts: `model`, `origin` (where it came from; may be empty)."""

    template = "{model} is not signed by a key that is trusted here, and it must be ({origin})."
    hint = "Trust its maker's key: penjing trust add NAME PUBKEY. Or load it all the same: --allow-untrusted"
    code = "model_unsigned"


class UnknownSigner(Unsigned):
    """Signed, by keys that are not trusted here or not for this model. Facts: `model`, `origin`, `keys`."""

    template = "{model} is signed by {keys}, which is not trusted here for it, and it must be signed ({origin})."


class Altered(Distrusted):
    """It is not what was signed. Facts: `model`, `path`, `detail`."""

    template = "{model} was altered after it was signed: {path}: {detail}"
    hint = "Fetch it again. To load it all the same: --allow-untrusted"
    code = "model_altered"


class ReleaseRefused(Distrusted):
    """Facts: `name`, `detail`."""

    template = "The release of {name} is refused: {detail}"
    hint = "Stay with the version that runs, and ask who publishes it."
    code = "release_refused"


class BadDocument(ReleaseRefused):
    """Facts: `name`, `detail`."""

    template = "{name} cannot be read as a signed document: {detail}"


class WrongKey(ReleaseRefused):
    """Too few good signatures of the keys that count. Facts: `name`, `good`, `needed`."""

    template = "The release of {name} is refused: {good} of the {needed} signatures it needs are good."
    code = "release_wrong_key"


class Expired(ReleaseRefused):
    """Facts: `name`, `when`."""

    template = "The release of {name} is refused: it was good until {when}."
    hint = "Look at this machine's clock; else the publisher has not renewed it, or somebody withholds the new one."
    code = "release_expired"


class RolledBack(ReleaseRefused):
    """Facts: `name`, `counter`, `known`."""

    template = "The release of {name} is refused: its counter is {counter}, and {known} was seen here already."
    hint = "Somebody serves an old release. Fetch from another place, or ask who publishes it."
    code = "release_rolled_back"


class Swapped(ReleaseRefused):
    """Facts: `name`, `detail`."""

    template = "The release of {name} is refused, something was exchanged: {detail}"
    hint = "Do not load it; tell who publishes it."
    code = "release_swapped"
