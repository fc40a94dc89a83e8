"""What can go wrong in the store, one class a fault.

    InputError
    ├── BadName
    ├── BadFilePath
    ├── NoFiles
    └── ReservedTag
    ModelNotFound
    ├── NotInStore            NearInStore
    ├── NotABundle
    └── OnlyADifference
    ModelCorrupt
    ├── NotAsItsManifest
    ├── BadIndex
    ├── LostChunks
    ├── ReferredGone
    └── ForgedChunk
    MachineError
    └── InUse

Does not know: who raises them.
"""

from __future__ import annotations

from penjing.errors import InputError, MachineError, ModelCorrupt, ModelNotFound


class BadName(InputError):
    """Facts: `value`."""

    template = "'{value}' is not the name of a model in the store."
    hint = "Letters, digits and . _ - make a name; NAME:TAG or NAME@VERSION says which of its versions."
    code = "invalid_name"


class BadFilePath(InputError):
    """A file that would lie outside its version's folder, or where the store keeps its own. Facts: `value`."""

    template = "'{value}' cannot be the path of a file of a model."
    hint = "Give it a path within the model's folder, other than manifest.json."
    code = "invalid_name"


class NoFiles(InputError):
    """Facts: `model`."""

    template = "'{model}' has no files."
    hint = "Name a .gguf file or a folder that holds a model."
    code = "invalid_value"


class ReservedTag(InputError):
    """Facts: `tag`."""

    template = "The tag '{tag}' always means the newest version."
    hint = "Choose another word, such as stable."
    code = "invalid_name"


class NotInStore(ModelNotFound):
    """Facts: `model`."""

    template = "There is no '{model}' in the store."
    hint = "penjing store list shows what is there."


class NearInStore(NotInStore):
    """Facts: `model`, `near` (comma-separated), `first`."""

    template = "There is no '{model}' in the store. Near it: {near}"
    hint = "Try: penjing store show {first}"


class NotABundle(ModelNotFound):
    """Facts: `place`, `path`."""

    template = "{place} has no {path}, so it cannot be imported from."
    hint = "Name the folder or the address that penjing store export wrote to."


class OnlyADifference(ModelNotFound):
    """Facts: `model`, `place`, `since` (the beginning of a digest)."""

    template = "{place} holds only what changed in {model} since the version {since}, which is not here."
    hint = "Import that version first, or export {model} whole: without --since."


class NotAsItsManifest(ModelCorrupt):
    """Facts: `path`, `detail`."""

    template = "{path} is not what its manifest says: {detail}"
    hint = "Fetch or copy it again from where it came from."


class BadIndex(ModelCorrupt):
    """Facts: `path`, `detail`."""

    template = "{path} is not a list of chunks: {detail}"
    hint = "Fetch it again; if it stays so, its source is damaged."


class LostChunks(ModelCorrupt):
    """Facts: `model`, `count`."""

    template = "{model} cannot be put together: {count} of its chunks are nowhere in the store."
    hint = "penjing store verify shows what is damaged; fetch the model again."


class ReferredGone(ModelCorrupt):
    """Facts: `model`, `path`."""

    template = "{model} is a file that another program kept, and it is no longer there as it was: {path}"
    hint = "Put it back, or give the model up (penjing store rm {model}) and fetch it: penjing pull"


class ForgedChunk(ModelCorrupt):
    """Facts: `source`, `chunk` (its digest in hex), `model`."""

    template = "{source} gave other bytes than chunk {chunk} of {model} has; nothing of them was kept."
    hint = "Fetch from another place, or ask who runs this one."
    code = "chunk_forged"


class InUse(MachineError):
    """Facts: `model`, `by` (process ids, or `?`)."""

    template = "{model} is in use (process {by})."
    hint = "Stop what runs it, then try again."
    code = "model_in_use"
    status = 409
