"""What can be wrong with a quantized file that is to be trained.

InputError
├── StartOfAnother
└── ModelUnsupported
    └── NotTrainable
"""

from __future__ import annotations

from penjing.errors import InputError, ModelUnsupported


class StartOfAnother(InputError):
    """Facts: `start`, `model`, `tensor`."""

    template = "{start} was not made of {model}: the tensor {tensor} is not the same."
    hint = "Quantize this model first, or name the checkpoint that the file was made of."
    code = "start_of_another"


class NotTrainable(ModelUnsupported):
    """Facts: `path`, `tensor`."""

    template = "{path}: the tensor {tensor} cannot be trained in a quantized type (experts cannot yet)."
    hint = "Leave --train out: the file is then quantized without training."
