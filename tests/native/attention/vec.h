#pragma once
#include <cmath>

inline void ggml_vec_scale_f32(int count, float * y, float factor) {
    for (int at = 0; at < count; at++) {
        y[at] *= factor;
    }
}

inline void ggml_vec_mad_f32(int count, float * y, const float * x, float factor) {
    for (int at = 0; at < count; at++) {
        y[at] += x[at] * factor;
    }
}

inline void ggml_vec_add_f32(int count, float * z, const float * x, const float * y) {
    for (int at = 0; at < count; at++) {
        z[at] = x[at] + y[at];
    }
}

inline double ggml_vec_soft_max_f32(int count, float * y, const float * x, float most) {
    double sum = 0;
    for (int at = 0; at < count; at++) {
        sum += y[at] = std::exp(x[at] - most);
    }
    return sum;
}
