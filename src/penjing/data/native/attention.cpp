// Attention over a cache that many conversations share, for llama.cpp's processor backend.
//
// llama.cpp's own (ggml-cpu/ops.cpp, ggml_compute_forward_flash_attn_ext) takes each head of a query for itself, and
// turns every key and value from half precision again for each. For one token it adds up in half precision, and gives
// each thread a part of the cache, of which one may hold the whole conversation and the other nothing of it. Here the
// heads that share keys and values are computed together, in single precision, and what nobody sees is passed over.
// Softmax as the cells come: Milakov, Gimelshein, arXiv:1805.02867.
//
// ops.cpp is compiled with its function called ggml_compute_forward_flash_attn_ext_tiles, which goes on computing what
// is unusual.

#include "attention.h"

#include <vector>

extern "C" void ggml_compute_forward_flash_attn_ext_tiles(const ggml_compute_params * params, ggml_tensor * dst);
extern "C" void ggml_compute_forward_flash_attn_ext(const ggml_compute_params * params, ggml_tensor * dst);

namespace penjing {

constexpr int64_t MANY = 12;   // tokens from which on keys and values are worth being read for all of them at once

float * scratch(int64_t floats) {
    thread_local std::vector<float> held;
    if ((int64_t) held.size() < floats) {
        held.resize(floats);
    }
    return held.data();
}

}  // namespace penjing

void ggml_compute_forward_flash_attn_ext(const ggml_compute_params * params, ggml_tensor * dst) {
    const penjing::Attention all(dst);
    if (params->use_ref || !all.usual()) {
        ggml_compute_forward_flash_attn_ext_tiles(params, dst);
    } else if (all.tokens < penjing::MANY) {
        penjing::attend_few(all, params);
    } else {
        penjing::attend_many(all, params);
    }
}
