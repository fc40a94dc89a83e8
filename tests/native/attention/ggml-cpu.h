#pragma once
#include "ggml.h"

inline void ggml_cpu_fp16_to_fp32(const ggml_fp16_t * from, float * to, int64_t count) {
    for (int64_t at = 0; at < count; at++) {
        to[at] = half(from[at]);
    }
}
