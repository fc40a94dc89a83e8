"""What the tensors and signatures of a `.tflite` are called.

LiteRT-LM finds them by these names (google-ai-edge/LiteRT-LM, runtime/executor/litert_compiled_model_executor_utils.cc,
and `prefill` and `decode` in llm_litert_compiled_model_executor.cc).

Does not know: what is in the tensors.
"""

from __future__ import annotations

PREFILL = "prefill_"
DECODE = "decode"
TOKENS = "tokens"
POSITIONS = "input_pos"
LOGITS = "logits"
KEYS = "kv_cache_k_"
VALUES = "kv_cache_v_"


def caches(layers: int) -> list[str]:
    """The cache's tensors: keys of all layers, then values."""
    return [f"{prefix}{layer}" for prefix in (KEYS, VALUES) for layer in range(layers)]
