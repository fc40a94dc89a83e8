"""What can be wrong with a Core ML export."""

from __future__ import annotations

from penjing.errors import InputError, ModelCorrupt, ModelUnsupported


class NotAProgram(ModelCorrupt):
    """Facts: `path`, `detail`."""

    template = "{path} is not a Core ML program that can be read: {detail}"
    hint = "Export it again: penjing export MODEL --target coreml --output DIR"
    code = "not_a_program"


class UnknownOperation(ModelUnsupported):
    """Facts: `path`, `operation` (MIL's name), `where` (the name of what it computes)."""

    template = (
        "{path}: penjing's reference interpreter does not know the Core ML operation {operation} (it makes {where})."
    )
    hint = "The model may still run on a Mac or an iPhone; here it cannot be checked."
    code = "unknown_operation"


class WrongProgram(ModelCorrupt):
    """Facts: `path`, `detail`."""

    template = "{path} is not the program that was asked for: {detail}"
    hint = (
        "This is a fault of the converter or of penjing; please report it with the versions of coremltools and torch."
    )
    code = "wrong_program"


class NoBlocks(ModelUnsupported):
    """Facts: `widths`."""

    template = "int4 needs rows of a multiple of 8 weights; this model's have {widths}."
    hint = "Export it as int8 or as pal4: --precision int8"
    code = "no_blocks"


class SequenceTooLong(InputError):
    """Facts: `sequence`, `context`."""

    template = "{sequence} tokens a call are more than a context of {context}."
    hint = "Take a smaller --sequence or a larger --context."
    code = "sequence_too_long"
