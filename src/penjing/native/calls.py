"""The functions of llama.h that penjing calls, with their prototypes: each is looked up once. They release the GIL.

Does not know: what they are called for.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from penjing.native.layout import FLAG, FLOAT, INT, POINTER, SIZE, UINT, Batch, ChainParams
from penjing.native.library import function

TEXT = ctypes.c_char_p
U64 = ctypes.c_uint64

INIT_LLGUIDANCE = "_Z22llama_sampler_init_llgPK11llama_vocabPKcS3_"
"""llama.cpp common/llguidance.cpp, `llama_sampler_init_llg(vocab, kind, grammar)`: C++, with a name of the Itanium ABI,
which Linux and macOS have."""

PROTOTYPES: dict[str, tuple[Any, ...]] = {
    # the result, then the arguments
    "llama_backend_init": (None,),
    "llama_model_free": (None, POINTER),
    "llama_model_get_vocab": (POINTER, POINTER),
    "llama_model_n_ctx_train": (INT, POINTER),
    "llama_model_n_embd": (INT, POINTER),
    "llama_model_n_layer": (INT, POINTER),
    "llama_model_n_params": (U64, POINTER),
    "llama_model_n_swa": (INT, POINTER),
    "llama_model_size": (U64, POINTER),
    "llama_model_has_encoder": (FLAG, POINTER),
    "llama_model_has_decoder": (FLAG, POINTER),
    "llama_model_is_recurrent": (FLAG, POINTER),
    "llama_model_is_hybrid": (FLAG, POINTER),
    "llama_model_chat_template": (TEXT, POINTER, TEXT),
    "llama_model_meta_count": (INT, POINTER),
    "llama_model_meta_key_by_index": (INT, POINTER, INT, POINTER, SIZE),
    "llama_model_meta_val_str_by_index": (INT, POINTER, INT, POINTER, SIZE),
    "llama_vocab_n_tokens": (INT, POINTER),
    "llama_vocab_get_text": (TEXT, POINTER, INT),
    "llama_vocab_is_eog": (FLAG, POINTER, INT),
    "llama_vocab_is_control": (FLAG, POINTER, INT),
    "llama_vocab_get_add_bos": (FLAG, POINTER),
    "llama_vocab_get_add_eos": (FLAG, POINTER),
    "llama_vocab_get_add_sep": (FLAG, POINTER),
    "llama_vocab_get_suppress_tokens": (POINTER, POINTER, POINTER),
    "llama_vocab_sep": (INT, POINTER),
    "llama_vocab_bos": (INT, POINTER),
    "llama_vocab_eos": (INT, POINTER),
    "llama_vocab_eot": (INT, POINTER),
    "llama_tokenize": (INT, POINTER, TEXT, INT, POINTER, INT, FLAG, FLAG),
    "llama_detokenize": (INT, POINTER, POINTER, INT, POINTER, INT, FLAG, FLAG),
    "llama_token_to_piece": (INT, POINTER, INT, POINTER, INT, INT, FLAG),
    "llama_adapter_lora_init": (POINTER, POINTER, TEXT),
    "llama_set_adapters_lora": (INT, POINTER, POINTER, SIZE, POINTER),
    "llama_free": (None, POINTER),
    "llama_n_ctx": (UINT, POINTER),
    "llama_n_ctx_seq": (UINT, POINTER),
    "llama_n_batch": (UINT, POINTER),
    "llama_n_ubatch": (UINT, POINTER),
    "llama_n_seq_max": (UINT, POINTER),
    "llama_set_n_threads": (None, POINTER, INT, INT),
    "llama_set_embeddings": (None, POINTER, FLAG),
    "llama_set_causal_attn": (None, POINTER, FLAG),
    "llama_synchronize": (None, POINTER),
    "llama_decode": (INT, POINTER, Batch),
    "llama_encode": (INT, POINTER, Batch),
    "llama_get_logits": (POINTER, POINTER),
    "llama_get_embeddings": (POINTER, POINTER),
    "llama_get_embeddings_seq": (POINTER, POINTER, INT),
    "llama_pooling_type": (INT, POINTER),
    "llama_get_memory": (POINTER, POINTER),
    "llama_memory_clear": (None, POINTER, FLAG),
    "llama_memory_seq_rm": (FLAG, POINTER, INT, INT, INT),
    "llama_memory_seq_cp": (None, POINTER, INT, INT, INT, INT),
    "llama_memory_seq_keep": (None, POINTER, INT),
    "llama_memory_seq_add": (None, POINTER, INT, INT, INT, INT),
    "llama_memory_seq_pos_min": (INT, POINTER, INT),
    "llama_memory_seq_pos_max": (INT, POINTER, INT),
    "llama_memory_can_shift": (FLAG, POINTER),
    "llama_state_seq_get_size": (SIZE, POINTER, INT),
    "llama_state_seq_get_data": (SIZE, POINTER, POINTER, SIZE, INT),
    "llama_state_seq_set_data": (SIZE, POINTER, POINTER, SIZE, INT),
    "llama_sampler_chain_init": (POINTER, ChainParams),
    "llama_sampler_chain_add": (None, POINTER, POINTER),
    "llama_sampler_free": (None, POINTER),
    "llama_sampler_apply": (None, POINTER, POINTER),
    "llama_sampler_accept": (None, POINTER, INT),
    "llama_sampler_init_dist": (POINTER, UINT),
    "llama_sampler_init_top_k": (POINTER, INT),
    "llama_sampler_init_top_p": (POINTER, FLOAT, SIZE),
    "llama_sampler_init_min_p": (POINTER, FLOAT, SIZE),
    "llama_sampler_init_typical": (POINTER, FLOAT, SIZE),
    "llama_sampler_init_temp": (POINTER, FLOAT),
    "llama_sampler_init_temp_ext": (POINTER, FLOAT, FLOAT, FLOAT),
    "llama_sampler_init_top_n_sigma": (POINTER, FLOAT),
    "llama_sampler_init_xtc": (POINTER, FLOAT, FLOAT, SIZE, UINT),
    "llama_sampler_init_dry": (POINTER, POINTER, FLOAT, FLOAT, INT, INT, POINTER, SIZE),
    "llama_sampler_init_mirostat": (POINTER, INT, UINT, FLOAT, FLOAT, INT),
    "llama_sampler_init_mirostat_v2": (POINTER, UINT, FLOAT, FLOAT),
    "llama_sampler_init_adaptive_p": (POINTER, FLOAT, FLOAT, UINT),
    "llama_sampler_init_infill": (POINTER, POINTER),
    "llama_sampler_init_penalties": (POINTER, INT, INT, FLOAT, FLOAT, FLOAT),
    "llama_sampler_init_logit_bias": (POINTER, INT, INT, POINTER),
    "llama_sampler_init_grammar": (POINTER, POINTER, TEXT, TEXT),
    INIT_LLGUIDANCE: (POINTER, POINTER, TEXT, TEXT),
}


@functools.cache
def call(name: str) -> Any:
    """The C function `name` of PROTOTYPES. Raises LibraryMissing."""
    result, *arguments = PROTOTYPES[name]
    return function(name, result, *arguments)
