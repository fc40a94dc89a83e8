// As much of ggml as our attention touches, for a test without llama.cpp's source. The layouts are its own.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

typedef uint16_t ggml_fp16_t;
enum ggml_type { GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_HALVES };

struct ggml_tensor {
    ggml_type type;
    int64_t ne[4];
    size_t nb[4];
    int32_t op_params[16];
    ggml_tensor * src[10];
    void * data;
};

struct ggml_type_traits {
    void (*to_float)(const void *, float *, int64_t);
};

inline float half(ggml_fp16_t bits) {
    const uint32_t sign = (uint32_t) (bits & 0x8000) << 16, exponent = bits >> 10 & 0x1F, rest = bits & 0x3FF;
    if (exponent == 0) {
        return (sign ? -1.0f : 1.0f) * std::ldexp((float) rest, -24);
    }
    const uint32_t found = sign | (exponent == 31 ? 0xFFu : exponent + 112) << 23 | rest << 13;
    float number;
    memcpy(&number, &found, sizeof number);
    return number;
}

inline void halves(const void * from, float * to, int64_t count) {
    for (int64_t at = 0; at < count; at++) {
        to[at] = ((const float *) from)[at] / 2;
    }
}

// The one other type: numbers that are told twice as large as they are.
inline const ggml_type_traits * ggml_get_type_traits(ggml_type) {
    static const ggml_type_traits found = {halves};
    return &found;
}
