// What an operation of attention is about: its tensors, and which cells of the cache a token sees.
//
// Does not know: how it is computed.
#pragma once

#include "ggml-cpu-impl.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "lanes.h"

#include <cstdint>
#include <cstring>

namespace penjing {

constexpr uint16_t UNSEEN = 0xFC00;   // minus infinity in half precision
constexpr uint64_t FOUR_UNSEEN = 0xFC00FC00FC00FC00;

struct Attention {
    const ggml_tensor *q, *k, *v, *mask, *sinks;
    ggml_tensor * dst;
    int64_t tokens, heads, groups, shared, streams, cells, keys, values;   // shared: heads of a group
    float scale, bias, cap;

    explicit Attention(ggml_tensor * dst) :
        q(dst->src[0]), k(dst->src[1]), v(dst->src[2]), mask(dst->src[3]), sinks(dst->src[4]), dst(dst),
        tokens(q->ne[1]), heads(q->ne[2]), groups(k->ne[2]), shared(heads / groups), streams(q->ne[3]),
        cells(k->ne[1]), keys(k->ne[0]), values(v->ne[0]) {
        const float * given = (const float *) dst->op_params;
        scale = given[0], bias = given[1], cap = given[2];
    }

    // Whether it is of the usual kind: no ALiBi, one mask for all heads.
    bool usual() const {
        const bool plain = q->type == GGML_TYPE_F32 && bias == 0 && (!mask || mask->ne[2] == 1);
        const bool even = keys % WIDTH == 0 && values % WIDTH == 0 && heads % groups == 0;
        return plain && even && v->ne[2] == groups && k->ne[3] == streams && v->ne[3] == streams;
    }

    // What `token` of `stream` sees: half precision for each cell, null where it sees all.
    const ggml_fp16_t * seen(int64_t token, int64_t stream) const {
        const int64_t at = mask ? token * mask->nb[1] + stream % mask->ne[3] * mask->nb[3] : 0;
        return mask ? (const ggml_fp16_t *) ((const char *) mask->data + at) : nullptr;
    }

    // The query of `token`, with the scale in it.
    void query(int64_t token, int64_t head, int64_t stream, float * to) const {
        const char * at = (const char *) q->data + token * q->nb[1] + head * q->nb[2] + stream * q->nb[3];
        const float factor = cap ? scale / cap : scale;
        for (int64_t each = 0; each < keys; each++) {
            to[each] = ((const float *) at)[each] * factor;
        }
    }

    float * result(int64_t token, int64_t head, int64_t stream) const {
        return (float *) ((char *) dst->data + ((stream * tokens + token) * heads + head) * dst->nb[1]);
    }

    // What stands in the sum of weights before any cell: the logarithm of it, or minus infinity for nothing.
    float sink(int64_t head) const { return sinks ? ((const float *) sinks->data)[head] : -INFINITY; }
};

// A row of keys or values in single precision.
inline void read(const ggml_tensor * from, int64_t cell, int64_t group, int64_t stream, float * to) {
    const void * row = (const char *) from->data + cell * from->nb[1] + group * from->nb[2] + stream * from->nb[3];
    if (from->type == GGML_TYPE_F16) {
        ggml_cpu_fp16_to_fp32((const ggml_fp16_t *) row, to, from->ne[0]);
    } else if (from->type == GGML_TYPE_F32) {
        memcpy(to, row, from->ne[0] * sizeof(float));
    } else {
        ggml_get_type_traits(from->type)->to_float(row, to, from->ne[0]);
    }
}

// The four cells from `at` on are all unseen.
inline bool unseen(const ggml_fp16_t * mask, int64_t at) {
    uint64_t some;
    memcpy(&some, mask + at, sizeof some);
    return some == FOUR_UNSEEN;
}

// Memory of the thread that asks, kept from one operation to the next.
float * scratch(int64_t floats);

void attend_few(const Attention & all, const ggml_compute_params * params);
void attend_many(const Attention & all, const ggml_compute_params * params);

}  // namespace penjing
