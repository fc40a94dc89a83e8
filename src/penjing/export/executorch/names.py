"""What the tensors and methods of a `.pte` are called.

ExecuTorch's own runners for language models look for the methods (pytorch/executorch,
extension/llm/runner/constants.h).

Does not know: what is in the tensors.
"""

from __future__ import annotations

FORWARD = "forward"
TOKENS = "tokens"
POSITION = "input_pos"
LOGITS = "logits"
CHUNK = "get_max_seq_len"
"""Tokens that one call reads at most."""
CONTEXT = "get_max_context_len"
VOCABULARY = "get_vocab_size"
BEGINNING = "get_bos_id"
ENDS = "get_eos_ids"
