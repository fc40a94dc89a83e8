"""What a checkpoint in few bits can meet.

ModelUnsupported
├── RowsDoNotFit
├── LayersUnnamed
└── NotTrainedWhole
InputError
└── OtherBase
"""

from __future__ import annotations

from penjing.errors import InputError, ModelUnsupported


class RowsDoNotFit(ModelUnsupported):
    """Facts: `path`, `form`, `group`, `count` (of matrices), `names` (with their columns)."""

    template = "{path}: rows of {count} matrices are no multiple of {group}, which {form} needs: {names}"
    hint = "These take rows of any width: --to torch-int8, --to torch-nf4"
    code = "rows_do_not_fit"


class LayersUnnamed(ModelUnsupported):
    """Facts: `path`, `count`, `names` (of layers)."""

    template = "{path} keeps {count} layers under other names than the model that transformers makes of it: {names}"
    hint = (
        "Load and save it once with transformers, which renames them; or make a .gguf: penjing quantize {path} --bits 4"
    )
    code = "layers_unnamed"


class NotTrainedWhole(ModelUnsupported):
    """Facts: `path`, `form`."""

    template = "{path} is kept in {form}: an adapter can be trained beside it, its own weights cannot."
    hint = "Choose --method lora, or take the model's original checkpoint."
    code = "not_trained_whole"


class OtherBase(InputError):
    """Facts: `path`, `form` (it is in), `wanted`."""

    template = "{path} is kept in {form} already, and cannot be loaded in {wanted}."
    hint = "Leave --base out, or take the model's original checkpoint."
    code = "other_base"
