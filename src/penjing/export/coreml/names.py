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


def constant(parameter: str) -> str:
    """What the converter calls the constant made of the decoder's `parameter`; what is made of that by quantizing adds
    to it.

    >>> constant("layers.0.attention.q.weight")
    'decoder_layers_0_attention_q_weight_to_fp16'
    """
    return f"decoder_{parameter.replace('.', '_')}_to_fp16"
