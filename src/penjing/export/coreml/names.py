"""The names in our programs, which are swift-transformers' (`Sources/Models/LanguageModel.swift`): its `LanguageModel`
runs them as they are.

Does not know: torch, coremltools.
"""

from __future__ import annotations

IDS, FULL, SLIDING, POSITION = "inputIds", "fullAttentionMask", "slidingAttentionMask", "position"
KEYS, VALUES, LOGITS = "keyCache", "valueCache", "logits"
MASKS = (FULL, SLIDING)
MODEL_NAME, WINDOW = "co.huggingface.exporters.name", "co.huggingface.exporters.sliding_window"
"""In the metadata of a program: what the model is called, and how far layers with a window see."""


def stem(parameter: str) -> str:
    """What the names of all begin with that the converter makes of the decoder's `parameter`; more follows after `_`.

    >>> stem("layers.0.attention.q.weight")
    'decoder_layers_0_attention_q_weight'
    """
    return f"decoder_{parameter.replace('.', '_')}"


def constant(parameter: str) -> str:
    """What it calls the constant in half precision."""
    return f"{stem(parameter)}_to_fp16"
