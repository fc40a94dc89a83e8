"""The forms that torch keeps weights in: what transformers is told of each, and the tensors that a matrix becomes.

    int8    torchao, a scale for each row                             8 bits a weight
    int4    torchao, a scale and a zero point for each GROUP weights  4 in value; kept in bytes, 8.75
    nf4     bitsandbytes, double quantization (QLoRA)                 4.13
    bnb8    bitsandbytes, LLM.int8: loaded so on CUDA, not written

torchao 0.18 packs two int4 in a byte only for kernels of CUDA or XPU (`Int4Tensor` asks for mslk); the form that a
processor too loads, computes with and passes gradients through is `IntxUnpackedToInt8Tensor`.

Does not know: files, models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

INT8, INT4, NF4, BNB8 = "int8", "int4", "nf4", "bnb8"
WRITTEN = (INT8, INT4, NF4)
"""Forms that a checkpoint can be written in."""
GROUP = 32
"""Weights that share a scale in int4."""
BLOCK = 64
"""Weights that share a scale in nf4, row after row (bitsandbytes' own)."""
BY = {INT8: "torchao", INT4: "torchao", NF4: "bitsandbytes", BNB8: "bitsandbytes"}
"""The package that computes with each."""
BITS = {INT8: 8.0, INT4: 8.0 + 24 / GROUP, NF4: 4.13}
"""Of a weight in a file, about; the scales of int4 in 16 bits."""


def config(form: str, computed: torch.dtype, *, apart: list[str] | None = None) -> Any:
    """For transformers; matrices are computed with in `computed`, and modules called `apart` stay as they are. NF4 with
    its scales quantized again (Dettmers et al., QLoRA, 2023); LLM.int8 (arXiv:2208.07339)."""
    from transformers import BitsAndBytesConfig, TorchAoConfig

    if form == NF4:
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=computed,
            llm_int8_skip_modules=apart,
        )
    if form == BNB8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return TorchAoConfig(quant_type=_torchao(form), modules_to_not_convert=apart)


def _torchao(form: str) -> Any:
    """int4 with a zero point: on the built-in model it loses 20 % less than without."""
    import torch
    from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig
    from torchao.quantization.granularity import PerGroup
    from torchao.quantization.quant_primitives import MappingType

    if form == INT8:
        return Int8WeightOnlyConfig(version=2)
    return IntxWeightOnlyConfig(
        weight_dtype=torch.int4, granularity=PerGroup(GROUP), mapping_type=MappingType.ASYMMETRIC
    )


def coded(form: str, module: str, weight: Tensor) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What a checkpoint holds of the matrix `weight` [rows, columns] of `module`: tensors by name, and what the headers
    of all its files must tell of it (that depends on the columns and the type alone)."""
    name = f"{module}.weight"
    if form == NF4:
        from bitsandbytes.functional import quantize_4bit

        packed, state = quantize_4bit(weight, blocksize=BLOCK, compress_statistics=True, quant_type=NF4)
        return {name: packed, **{f"{name}.{part}": each for part, each in state.as_dict(packed=True).items()}}, {}
    import torch
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
    from torchao.quantization import quantize_

    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = torch.nn.Parameter(weight, requires_grad=False)
    quantize_(layer, _torchao(form))
    tensors, told = flatten_tensor_state_dict({name: layer.weight})
    return tensors, {name: told[name]}


def fits(form: str, columns: int) -> bool:
    """Whether a matrix with so many columns can be kept so."""
    return form != INT4 or columns % GROUP == 0
