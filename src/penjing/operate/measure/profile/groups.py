"""What kind of work an operation is: matrix product, attention, normalisation, RoPE, ...

Does not know: times.
"""

from __future__ import annotations

from penjing.engines.llamacpp.watch import Operation

PRODUCT, ATTENTION, NORM, ROPE = "matrix product", "attention", "normalisation", "RoPE"
RECURRENCE, ROUTING, ELEMENTS, SAMPLING, OVERHEAD = "recurrence", "routing", "elementwise", "sampling", "overhead"
GROUPS = (PRODUCT, ATTENTION, NORM, ROPE, RECURRENCE, ROUTING, ELEMENTS, SAMPLING, OVERHEAD)
"""`recurrence` is the state of Mamba, RWKV and their kin, `routing` the choice of experts, `elementwise` everything
that goes through numbers once: activation functions, residuals, biases, looking up embeddings."""

PRODUCTS = {"MUL_MAT", "MUL_MAT_ID", "OUT_PROD"}
NORMS = {"NORM", "RMS_NORM", "GROUP_NORM", "L2_NORM"}
ATTENTIONS = {"FLASH_ATTN_EXT", "SOFT_MAX", "LIGHTNING_INDEXER"}
STATES = ("SSM_", "RWKV_", "GATED_", "SOLVE_TRI")


def group(operation: Operation) -> str:
    """One of GROUPS."""
    op, names = operation.op, (operation.name, *operation.inputs)
    if any(name.startswith("ffn_moe_") and "ffn_moe_weight" not in name for name in names[:1]) and op not in PRODUCTS:
        return ELEMENTS if op.startswith(("GLU", "UNARY")) else ROUTING
    if op in PRODUCTS:
        return PRODUCT if operation.weight else ATTENTION
    if op in NORMS or (op in ("MUL", "ADD") and "norm" in operation.weight):
        return NORM
    if op == "ROPE":
        return ROPE
    if op in ATTENTIONS or any(name.startswith(("cache_k", "cache_v")) for name in names):
        return ATTENTION
    return RECURRENCE if op.startswith(STATES) else ELEMENTS


def label(operation: Operation) -> str:
    """What to call it beside its like in other layers: by its weights where it has some, else by what it does."""
    if operation.name == "result_output":
        return "output"
    what = operation.op.rpartition("/")[2].lower()
    if operation.op in PRODUCTS and operation.weight:
        return operation.weight
    if operation.name.startswith(("cache_k", "cache_v")):
        return f"{what} {operation.name[:7]}"
    return f"{what} {operation.weight}".rstrip()
