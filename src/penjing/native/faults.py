"""What can go wrong between penjing and llama.cpp's library.

    MachineError
    ├── LibraryMissing        it is not there, or a function is not (`library`)
    └── LayoutUnknown         it lays out its structures in a way that is not known here
    ModelError
    └── LoadFailed            it would not load a model or an adapter
    EngineError
    ├── WrongUse              a call that would have ended the process: nothing was called
    └── DecodeFailed          it could not compute a batch
        ├── CacheFull         no room in the KV cache; nothing was computed
        └── Aborted           it was told to stop; part of the batch may be in the cache

Does not know: who calls.
"""

from __future__ import annotations

from penjing.errors import EngineError, MachineError, ModelError


class LayoutUnknown(MachineError):
    """Facts: `structure`, `field` (where it differs), `version` (of the library)."""

    template = "llama.cpp {version} lays out {structure} in a way that penjing does not know ({field})."
    hint = "Take one that it knows: penjing engine use prebuilt, with pip install 'xllamacpp==2026.10.11549'"
    code = "layout_unknown"


class LoadFailed(ModelError):
    """Facts: `path`, `detail` (the library's own words)."""

    template = "llama.cpp cannot load {path}: {detail}"
    code = "load_failed"


class WrongUse(EngineError):
    """Facts: `detail`."""

    template = "llama.cpp was asked for what it cannot do: {detail}"
    code = "wrong_use"
    status = 500


class DecodeFailed(EngineError):
    """Facts: `detail`."""

    template = "llama.cpp could not compute: {detail}"
    code = "decode_failed"


class CacheFull(DecodeFailed):
    """Facts: `tokens` (of the batch), `room` (of the cache, in tokens)."""

    template = "No room for {tokens} more tokens in a KV cache of {room}."
    hint = "Remove sequences, or make the context larger."
    code = "cache_full"


class Aborted(DecodeFailed):
    """Facts: none."""

    template = "The computation was stopped."
    code = "decode_aborted"
