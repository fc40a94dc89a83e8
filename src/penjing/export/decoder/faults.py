"""Why a checkpoint has no decoder here, one class a reason.

    ModelUnsupported
    ├── NoDecoder
    ├── DecoderOption
    └── DecoderWeightUnknown

Does not know: torch, how anything is computed.
"""

from __future__ import annotations

from penjing.errors import ModelUnsupported


class NoDecoder(ModelUnsupported):
    """Facts: `path`, `architecture`, `nearest`, `known`."""

    template = "{path} is a {architecture}, which penjing does not export. Nearest that it does: {nearest}"
    hint = "Exported: {known}. llama.cpp knows more: penjing export MODEL --target gguf --output DIR"


class DecoderOption(ModelUnsupported):
    """Facts: `path`, `option`, `value`, `wanted`."""

    template = "{path}: config.json has {option} = {value}; an export computes {wanted}."
    hint = "The exported model would answer differently from the original, so penjing does not export it."


class DecoderWeightUnknown(ModelUnsupported):
    """Facts: `path`, `tensor`, `architecture`."""

    template = "{path} has a tensor that a {architecture} does not have: {tensor}"
    hint = "It may be a model that was changed, which needs its own code. Take the original checkpoint."
