// Attention of many tokens, mostly of one prompt: keys and values are read once for a tile of them and all their heads.
//
// Does not know: when that is the better way.

#include "attention.h"
#include "vec.h"

#include <algorithm>
#include <cmath>

namespace penjing {
namespace {

constexpr int64_t BLOCK = 64;   // cells that are multiplied at once
constexpr int64_t LINES = 384;  // rows (a token's head each) of a tile, about: what it needs stays in the second cache

// Some tokens of a stream, and the heads of a group: rows [token][head].
struct Tile {
    const Attention & all;
    int64_t stream, group, first, tokens, rows, padded, count = 0;
    float *keys, *values, *line, *masks, *queries, *scores, *sums, *most, *mass;
    bool * sees;

    static int64_t wide(const Attention & all) { return std::max<int64_t>(1, LINES / all.shared); }

    Tile(const Attention & all, int64_t number) : all(all) {
        const int64_t tiles = (all.tokens + wide(all) - 1) / wide(all);
        group = number % all.groups, stream = number / all.groups / tiles;
        first = (tiles - 1 - number / all.groups % tiles) * wide(all);   // the last ones see most: they begin
        tokens = std::min(wide(all), all.tokens - first), rows = tokens * all.shared;
        padded = (rows + ROWS - 1) / ROWS * ROWS;
        const int64_t own = tokens * (BLOCK + 1) + padded * (all.keys + BLOCK + all.values + 2);
        keys = scratch(BLOCK * (all.keys + all.values) + all.keys + own);
        values = keys + BLOCK * all.keys, line = values + BLOCK * all.values, masks = line + all.keys;
        queries = masks + tokens * BLOCK, scores = queries + padded * all.keys, sums = scores + padded * BLOCK;
        most = sums + padded * all.values, mass = most + padded, sees = (bool *) (mass + padded);
        for (int64_t row = 0; row < rows; row++) {
            all.query(first + row / all.shared, head(row), stream, queries + row * all.keys);
            most[row] = all.sink(head(row)), mass[row] = all.sinks ? 1.0f : 0.0f;
        }
        std::fill(queries + rows * all.keys, queries + padded * all.keys, 0.0f);
        std::fill_n(sums, padded * all.values, 0.0f);
        std::fill_n(keys, BLOCK * all.keys, 0.0f);
    }

    int64_t head(int64_t row) const { return group * all.shared + row % all.shared; }
    const ggml_fp16_t * seen(int64_t token) const { return all.seen(first + token, stream); }

    void compute() {
        int64_t cells[BLOCK];
        for (int64_t at = 0; at < all.cells; at++) {
            at = next(at);
            if (at < all.cells) {
                cells[count++] = at;
            }
            if (count == BLOCK) {
                add(cells);
            }
        }
        if (count) {
            add(cells);
        }
        finish();
    }

    // The next cell from `at` on that one of the tokens sees; the last token of a prompt sees most, and is asked first.
    int64_t next(int64_t at) const {
        for (; all.mask && at < all.cells; at++) {
            const bool four = at % 4 == 0 && at + 4 <= all.cells;
            bool none = true, nobody = four;
            for (int64_t token = tokens - 1; token >= 0 && none; token--) {
                nobody = nobody && unseen(seen(token), at);
                none = nobody || seen(token)[at] == UNSEEN;
            }
            if (!none) {
                break;
            }
            at += nobody ? 3 : 0;
        }
        return at;
    }

    void add(const int64_t * cells) {
        for (int64_t at = 0; at < count; at++) {
            read(all.k, cells[at], group, stream, line);
            for (int64_t each = 0; each < all.keys; each++) {
                keys[each * BLOCK + at] = line[each];
            }
            read(all.v, cells[at], group, stream, values + at * all.values);
        }
        look(cells);
        for (int64_t row = 0; row < padded; row += ROWS) {
            const int64_t end = std::min(row + ROWS, rows);
            if (!std::any_of(sees + row / all.shared, sees + (end - 1) / all.shared + 1, [](bool one) { return one; })) {
                continue;
            }
            float * own = scores + row * BLOCK;
            std::fill_n(own, ROWS * BLOCK, 0.0f);
            multiply<ROWS>(queries + row * all.keys, all.keys, keys, BLOCK, all.keys, own);
            for (int64_t each = row; each < end; each++) {
                weigh(each);
            }
            multiply<ROWS>(own, BLOCK, values, all.values, count, sums + row * all.values);
        }
        count = 0;
    }

    // Which of the cells each token sees.
    void look(const int64_t * cells) {
        for (int64_t token = 0; token < tokens; token++) {
            const ggml_fp16_t * mask = seen(token);
            sees[token] = !mask;
            for (int64_t at = 0; at < count; at++) {
                const ggml_fp16_t one = mask ? mask[cells[at]] : 0;
                masks[token * BLOCK + at] = one ? GGML_FP16_TO_FP32(one) : 0.0f;
                sees[token] |= one != UNSEEN;
            }
        }
    }

    // Scores of a row become weights.
    void weigh(int64_t row) {
        float * own = scores + row * BLOCK;
        const float * mask = masks + row / all.shared * BLOCK;
        for (int64_t at = 0; all.cap && at < count; at++) {
            own[at] = all.cap * tanhf(own[at]);
        }
        ggml_vec_add_f32(count, own, own, mask);
        const float largest = largest_of(own, count, most[row]);
        if (largest == -INFINITY) {
            std::fill_n(own, count, 0.0f);
            return;
        }
        if (largest > most[row]) {
            const float shrunk = expf(most[row] - largest);
            mass[row] *= shrunk;
            ggml_vec_scale_f32(all.values, sums + row * all.values, shrunk);
            most[row] = largest;
        }
        mass[row] += ggml_vec_soft_max_f32(count, own, own, largest);
    }

    void finish() const {
        for (int64_t row = 0; row < rows; row++) {
            const float part = mass[row] ? 1.0f / mass[row] : 0.0f;
            float * found = all.result(first + row / all.shared, head(row), stream);
            for (int64_t at = 0; at < all.values; at++) {
                found[at] = sums[row * all.values + at] * part;
            }
        }
    }
};

}  // namespace

void attend_many(const Attention & all, const ggml_compute_params * params) {
    const int64_t tiles = (all.tokens + Tile::wide(all) - 1) / Tile::wide(all);
    if (params->ith == 0) {
        ggml_threadpool_chunk_set(params->threadpool, params->nth);
    }
    ggml_barrier(params->threadpool);
    for (int64_t number = params->ith; number < all.streams * tiles * all.groups;) {
        Tile(all, number).compute();
        number = ggml_threadpool_chunk_add(params->threadpool, 1);
    }
}

}  // namespace penjing
