// Attention of a few tokens, mostly of different conversations: each has its own cells.
//
// Does not know: when that is the better way.

#include "attention.h"
#include "vec.h"

#include <algorithm>
#include <cmath>

namespace penjing {
namespace {

constexpr int64_t BLOCK = 32;   // cells whose keys and values stay in the first cache
constexpr int64_t EACH = 4;     // pieces of work for each thread that are enough to be equal by themselves

// The cells that one token sees, in their order.
struct Cells {
    const ggml_fp16_t * mask;
    int64_t end, at = 0;

    bool next(int64_t & cell) {
        if (mask) {
            while (at + 4 <= end && unseen(mask, at)) {
                at += 4;
            }
            while (at < end && mask[at] == UNSEEN) {
                at++;
            }
        }
        cell = at;
        return at++ < end;
    }
};

// One token and the heads of a group, over a part of the cells that it sees.
struct Piece {
    const Attention & all;
    int64_t stream, token, group;
    float *keys, *values, *masks, *queries, *sums, *weights, *most, *mass;

    static int64_t floats(const Attention & all) {
        return BLOCK * (all.keys + all.values + 1) + all.shared * (all.keys + all.values + BLOCK + 2);
    }

    Piece(const Attention & all, int64_t number) : all(all) {
        group = number % all.groups, token = number / all.groups % all.tokens;
        stream = number / all.groups / all.tokens;
        keys = scratch(floats(all)), values = keys + BLOCK * all.keys, masks = values + BLOCK * all.values;
        queries = masks + BLOCK, sums = queries + all.shared * all.keys;
        weights = sums + all.shared * all.values, most = weights + all.shared * BLOCK, mass = most + all.shared;
        std::fill_n(sums, all.shared * all.values, 0.0f);
        std::fill_n(most, all.shared, -INFINITY);
        std::fill_n(mass, all.shared, 0.0f);
    }

    int64_t head(int64_t each) const { return group * all.shared + each; }

    void compute(int part, int parts) {
        for (int64_t each = 0; each < all.shared; each++) {
            all.query(token, head(each), stream, queries + each * all.keys);
            if (part == 0 && all.sinks) {
                most[each] = all.sink(head(each)), mass[each] = 1.0f;
            }
        }
        Cells cells{all.seen(token, stream), all.cells};
        int64_t cell, count = 0, left = share(cells, part, parts);
        while (left-- > 0 && cells.next(cell)) {
            masks[count] = cells.mask ? GGML_FP16_TO_FP32(cells.mask[cell]) : 0.0f;
            read(all.k, cell, group, stream, keys + count * all.keys);
            read(all.v, cell, group, stream, values + count * all.values);
            if (++count == BLOCK) {
                add(count);
                count = 0;
            }
        }
        add(count);
    }

    // How many cells are this part's, which come next.
    static int64_t share(Cells & cells, int part, int parts) {
        if (parts == 1) {
            return cells.end;
        }
        int64_t cell, number = 0;
        for (Cells each = cells; each.next(cell);) {
            number++;
        }
        const int64_t first = number * part / parts;
        for (int64_t each = 0; each < first; each++) {
            cells.next(cell);
        }
        return number * (part + 1) / parts - first;
    }

    void add(int64_t count) {
        for (int64_t each = 0; count && each < all.shared; each++) {
            float * own = weights + each * BLOCK;
            dots(queries + each * all.keys, keys, all.keys, count, own);
            for (int64_t at = 0; all.cap && at < count; at++) {
                own[at] = all.cap * tanhf(own[at]);
            }
            ggml_vec_add_f32(count, own, own, masks);
            const float largest = largest_of(own, count, most[each]);
            grow(each, largest);
            mass[each] += ggml_vec_soft_max_f32(count, own, own, largest);
            multiply<1>(own, BLOCK, values, all.values, count, sums + each * all.values);
        }
    }

    void grow(int64_t each, float largest) {
        if (largest > most[each]) {
            const float shrunk = expf(most[each] - largest);
            mass[each] *= shrunk;
            ggml_vec_scale_f32(all.values, sums + each * all.values, shrunk);
            most[each] = largest;
        }
    }

    void finish() const {
        for (int64_t each = 0; each < all.shared; each++) {
            const float part = mass[each] ? 1.0f / mass[each] : 0.0f;
            float * found = all.result(token, head(each), stream);
            for (int64_t at = 0; at < all.values; at++) {
                found[at] = sums[each * all.values + at] * part;
            }
        }
    }

    // What one part found, for `join`: largest, mass, sums of each head.
    void keep(float * partials) const {
        for (int64_t each = 0; each < all.shared; each++, partials += all.values + 2) {
            partials[0] = most[each], partials[1] = mass[each];
            std::copy_n(sums + each * all.values, all.values, partials + 2);
        }
    }

    void join(const float * partials) {
        for (int64_t each = 0; each < all.shared; each++, partials += all.values + 2) {
            if (partials[1] == 0.0f) {
                continue;
            }
            grow(each, std::max(most[each], partials[0]));
            const float factor = expf(partials[0] - most[each]);
            mass[each] += partials[1] * factor;
            ggml_vec_mad_f32(all.values, sums + each * all.values, partials + 2, factor);
        }
    }
};

}  // namespace

void attend_few(const Attention & all, const ggml_compute_params * params) {
    const int threads = params->nth;
    const int64_t pieces = all.streams * all.tokens * all.groups, size = all.shared * (all.values + 2);
    const bool room = pieces * threads * size * sizeof(float) <= params->wsize;
    if (pieces % threads == 0 || pieces >= EACH * threads || !room) {
        for (int64_t number = params->ith; number < pieces; number += threads) {
            Piece piece(all, number);
            piece.compute(0, 1);
            piece.finish();
        }
        return;
    }
    float * partials = (float *) params->wdata;
    for (int64_t number = 0; number < pieces; number++) {
        Piece piece(all, number);
        piece.compute(params->ith, threads);
        piece.keep(partials + (number * threads + params->ith) * size);
    }
    ggml_barrier(params->threadpool);
    for (int64_t number = params->ith; number < pieces; number += threads) {
        Piece piece(all, number);
        for (int part = 0; part < threads; part++) {
            piece.join(partials + (number * threads + part) * size);
        }
        piece.finish();
    }
}

}  // namespace penjing
