"""What can be wrong with a sealed file or with its key, one class a fault.

    ModelCorrupt
    ├── NotSealed
    ├── SealDamaged
    ├── SealedCut
    └── ChunkAltered
    InputError
    ├── NoSealKey
    ├── WrongSealKey
    ├── NoPassphrase
    ├── KeyCommandFailed
    ├── KeyCommandRubbish
    ├── KeyChanges
    ├── NoWayToOpen
    ├── CommandOfAFolder
    ├── NoKeyring
    ├── ManyFiles
    ├── SealedAlready
    └── NotWhileSealed
    MachineError
    └── NoMemoryFile

Does not know: who raises them.
"""

from __future__ import annotations

from penjing.errors import InputError, MachineError, ModelCorrupt

COPY_AGAIN = "Copy it again from where it was sealed; a seal cannot be repaired."


class NotSealed(ModelCorrupt):
    """Facts: `path`, `detail`."""

    template = "{path} is not a sealed file: {detail}"
    hint = "penjing seal MODEL makes one."
    code = "not_sealed"


class SealDamaged(ModelCorrupt):
    """Facts: `path`, `detail`."""

    template = "{path}: the header of the seal was altered: {detail}"
    hint = COPY_AGAIN
    code = "seal_damaged"


class SealedCut(ModelCorrupt):
    """Facts: `path`, `size`, `wanted` (bytes)."""

    template = "{path} has {size} bytes instead of {wanted}: it was cut short, or something was added."
    hint = COPY_AGAIN
    code = "seal_damaged"


class ChunkAltered(ModelCorrupt):
    """Facts: `path`, `chunk` (from 1), `count`, `begin`, `end` (bytes of the sealed file)."""

    template = "{path}: chunk {chunk} of {count} (bytes {begin} to {end}) was altered, or belongs elsewhere."
    hint = COPY_AGAIN
    code = "seal_damaged"


class NoSealKey(InputError):
    """Nothing was given that could open it. Facts: `path`, `ways` (how it can be opened)."""

    template = "{path} is sealed; it opens with: {ways}"
    hint = "Give --key-command COMMAND or --passphrase-file FILE, or run it on a terminal and type the passphrase."
    code = "sealed"


class WrongSealKey(InputError):
    """Facts: `path`, `way`."""

    template = "{path} does not open with this key ({way})."
    hint = "It needs what it was sealed with; without that nobody can open it."
    code = "wrong_key"


class NoPassphrase(InputError):
    """A passphrase that is none. Facts: `path`."""

    template = "The passphrase from {path} is empty."
    hint = "Write it into the file's first line, or type it."
    code = "empty_key"


class KeyCommandFailed(InputError):
    """Facts: `command`, `how`, `said` (its last words on stderr)."""

    template = "The key command failed ({how}): {command}: {said}"
    hint = "Run it by hand; it must print a key of 32 bytes and nothing else."
    code = "key_command_failed"


class KeyCommandRubbish(InputError):
    """What it printed is never repeated: it may be a secret. Facts: `command`, `bytes`."""

    template = "The key command printed {bytes} bytes that are no key: {command}"
    hint = "It must print the same 32 bytes each time, as 64 hexadecimal digits or as base64."
    code = "key_command_failed"


class KeyChanges(InputError):
    """What was sealed does not open again. Facts: `way`."""

    template = "The key differs from one time to the next ({way}); nothing was sealed."
    hint = "A key command prints a key that is kept somewhere, it does not make one."
    code = "wrong_key"


class NoWayToOpen(InputError):
    """Facts: none."""

    template = "Say what shall open the sealed model."
    hint = "Give --passphrase-file FILE, --key-command COMMAND or --keyring, or type a passphrase on a terminal."
    code = "value_missing"


class CommandOfAFolder(InputError):
    """A folder that was merely entered must not run commands. Facts: `source`."""

    template = "A key command is not taken from {source}, a file of the current folder."
    hint = "Put [seal] key_command into PENJING_HOME/config.toml, or give --key-command."
    code = "invalid_setting"


class NoKeyring(InputError):
    """Facts: `detail`."""

    template = "The system's keyring cannot be used: {detail}"
    hint = "pip install 'penjing[keyring]', and unlock the keyring; or use a passphrase or --key-command."
    code = "no_keyring"


class ManyFiles(InputError):
    """Facts: `path`."""

    template = "{path} is not one file; sealed is one .gguf file at a time."
    hint = "Name one .gguf file; shards become one with: llama-gguf-split --merge FIRST OUTPUT"
    code = "not_sealable"


class SealedAlready(InputError):
    """Facts: `path`."""

    template = "{path} is sealed already."
    hint = "penjing unseal {path} --output FILE opens it."
    code = "not_sealable"


class NotWhileSealed(InputError):
    """An option that would break what the seal is for. Facts: `option`, `model`, `detail`."""

    template = "{option} cannot be used with the sealed model {model}: {detail}"
    hint = "Leave {option} out, or do it before sealing."
    code = "sealed"


class NoMemoryFile(MachineError):
    """Facts: none."""

    template = "This system has no files that are only in memory; a sealed model can only be run from such a file."
    hint = "Run it on Linux, or unseal it to disk knowingly: penjing unseal FILE --output MODEL.gguf"
    code = "no_memory_file"
