"""Why a checkpoint has no decoder here, one class a reason.

    ModelUnsupported
    ├── NoDecoder
    └── DecoderOption
    ModelCorrupt
    ├── DecoderWeightsMissing
    ├── DecoderWeightUnknown
    └── DecoderWeightShape

Does not know: torch, how anything is computed.
"""

from __future__ import annotations

from penjing.errors import ModelCorrupt, ModelUnsupported
from penjing.probe.faults import COPY_AGAIN


class NoDecoder(ModelUnsupported):
    """Facts: `path`, `architecture`, `nearest`, `known`."""

    template = "{path} is a {architecture}, which penjing does not export. Nearest that it does: {nearest}"
    hint = "Exported: {known}. llama.cpp knows more: penjing export MODEL --target gguf --output DIR"


class DecoderOption(ModelUnsupported):
    """Facts: `path`, `option`, `value`, `wanted`."""

    template = "{path}: config.json has {option} = {value}; an export computes {wanted}."
    hint = "The exported model would answer differently from the original, so penjing does not export it."


class DecoderWeightsMissing(ModelCorrupt):
    """Facts: `path`, `names`."""

    template = "{path} lacks tensors that its config.json asks for: {names}"
    hint = COPY_AGAIN


class DecoderWeightUnknown(ModelUnsupported):
    """Facts: `path`, `tensor`, `architecture`."""

    template = "{path} has a tensor that a {architecture} does not have: {tensor}"
    hint = "It may be a model that was changed, which needs its own code. Take the original checkpoint."


class DecoderWeightShape(ModelCorrupt):
    """Facts: `path`, `tensor`, `shape`, `wanted`."""

    template = "{path}: {tensor} has the shape {shape}, and config.json says {wanted}."
    hint = COPY_AGAIN
