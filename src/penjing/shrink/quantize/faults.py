"""What can go wrong when a model is quantized.

Does not know: how it is done.
"""

from __future__ import annotations

from penjing.errors import InputError, ModelCorrupt, ModelUnsupported
from penjing.files import human


class AlreadyQuantized(ModelUnsupported):
    """Facts: `path`, `label`."""

    template = "{path} is already quantized ({label}); quantizing it again would lose twice."
    hint = "Take the F16, BF16 or F32 file of the same model, or leave it as it is."


class BudgetTooSmall(InputError):
    """Facts: `asked`, `smallest` (human sizes), `bits` (bits a weight of the smallest, as text), `model`,
    `least` (as `smallest`, as it is typed)."""

    template = "{model} cannot be made as small as {asked}: the smallest possible is {smallest} ({bits} bits a weight)."
    hint = "Ask for --to {least} or more, or make the model itself smaller first: penjing prune."
    code = "budget_too_small"


def too_small(model: str, asked: int, smallest: str, bits: float) -> BudgetTooSmall:
    """`bits` a weight are those of the `smallest` file."""
    facts = {"model": model, "asked": human(asked), "smallest": smallest, "least": smallest.replace(" ", "")}
    return BudgetTooSmall(**facts, bits=f"{bits:.2f}")


class ImportanceMismatch(InputError):
    """Facts: `path`, `tensor`, `found`, `wanted` (columns)."""

    template = "{path} is of another model: {tensor} has {found} columns there and {wanted} here."
    hint = "Measure one for this model: leave --imatrix away."
    code = "importance_mismatch"


class NotImportance(ModelCorrupt):
    """Facts: `path`, `detail`."""

    template = "{path} is no importance matrix: {detail}"
    hint = "Files of llama-imatrix in its GGUF form can be read (older .dat files cannot)."
    code = "not_importance"


class TypeUnknown(InputError):
    """Facts: `kind`, `tensor`, `known` (comma-separated)."""

    template = "{tensor}: '{kind}' is no type that weights can have."
    hint = "Types: {known}"
    code = "unknown_type"


class TensorUnknown(InputError):
    """A type was given for a tensor that is not there. Facts: `tensor`, `path`."""

    template = "{path} has no tensor '{tensor}'."
    hint = "penjing probe {path} --tensors shows what it has."
    code = "unknown_tensor"
