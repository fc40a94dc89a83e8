// Small products of matrices in single precision, with as many numbers at once as the processor has in a register.
//
// Rows follow each other without gaps; widths are multiples of WIDTH. Does not know: what is multiplied.
#pragma once

#include <cstdint>

namespace penjing {

#if defined(__AVX512F__)
constexpr int64_t WIDTH = 16, COLUMNS = 4;   // numbers of a register; registers of a row that `multiply` holds
#elif defined(__AVX__)
constexpr int64_t WIDTH = 8, COLUMNS = 2;
#else
constexpr int64_t WIDTH = 4, COLUMNS = 4;
#endif
constexpr int64_t ROWS = 6;   // ROWS * COLUMNS sums, a row of COLUMNS and one factor fill the registers
constexpr int64_t TOGETHER = 4;   // rows that `dots` reads at once

template <int64_t N> struct Numbers {
    typedef float type __attribute__((vector_size(4 * N)));
};
typedef Numbers<WIDTH>::type lanes;
typedef float somewhere __attribute__((vector_size(4 * WIDTH), aligned(4)));

inline lanes load(const float * from) {
    return *(const somewhere *) from;
}

inline void store(float * to, lanes numbers) {
    *(somewhere *) to = numbers;
}

template <int64_t N> union Halves {
    typename Numbers<N>::type all;
    typename Numbers<N / 2>::type half[2];
};

template <int64_t N> float total(typename Numbers<N>::type numbers) {
    if constexpr (N == 4) {
        return (numbers[0] + numbers[1]) + (numbers[2] + numbers[3]);
    } else {
        const Halves<N> parts = {numbers};
        return total<N / 2>(parts.half[0] + parts.half[1]);
    }
}

template <int64_t N> float largest(typename Numbers<N>::type numbers) {
    if constexpr (N == 1) {
        return numbers[0];
    } else {
        const Halves<N> parts = {numbers};
        return largest<N / 2>(parts.half[0] > parts.half[1] ? parts.half[0] : parts.half[1]);
    }
}

// The largest of `count` numbers and of `least`.
inline float largest_of(const float * numbers, int64_t count, float least) {
    lanes found = least - lanes{};
    int64_t at = 0;
    for (; at + WIDTH <= count; at += WIDTH) {
        const lanes some = load(numbers + at);
        found = some > found ? some : found;
    }
    least = largest<WIDTH>(found);
    for (; at < count; at++) {
        least = numbers[at] > least ? numbers[at] : least;
    }
    return least;
}

// found[j] = query · keys[j] for `count` keys; up to TOGETHER - 1 behind them are read, and written to `found`, too.
inline void dots(const float * query, const float * keys, int64_t width, int64_t count, float * found) {
    for (int64_t row = 0; row < count; row += TOGETHER) {
        lanes sums[TOGETHER] = {};
        for (int64_t at = 0; at < width; at += WIDTH) {
            const lanes part = load(query + at);
            for (int64_t each = 0; each < TOGETHER; each++) {
                sums[each] += part * load(keys + (row + each) * width + at);
            }
        }
        for (int64_t each = 0; each < TOGETHER; each++) {
            found[row + each] = total<WIDTH>(sums[each]);
        }
    }
}

// sums[M][N lanes] += a[M][inner] * b[inner][N lanes]; `wide` and `long_` are how far rows of b and sums, and of a, are
// apart.
template <int64_t M, int64_t N>
void panel(const float * a, int64_t long_, const float * b, int64_t wide, int64_t inner, float * sums) {
    lanes parts[M][N];
    for (int64_t row = 0; row < M; row++) {
        for (int64_t each = 0; each < N; each++) {
            parts[row][each] = load(sums + row * wide + each * WIDTH);
        }
    }
    for (int64_t at = 0; at < inner; at++) {
        lanes line[N];
        for (int64_t each = 0; each < N; each++) {
            line[each] = load(b + at * wide + each * WIDTH);
        }
        for (int64_t row = 0; row < M; row++) {
            const float factor = a[row * long_ + at];
            for (int64_t each = 0; each < N; each++) {
                parts[row][each] += factor * line[each];
            }
        }
    }
    for (int64_t row = 0; row < M; row++) {
        for (int64_t each = 0; each < N; each++) {
            store(sums + row * wide + each * WIDTH, parts[row][each]);
        }
    }
}

// sums[M][width] += a[M][inner] * b[inner][width], rows of a `long_` apart.
template <int64_t M>
void multiply(const float * a, int64_t long_, const float * b, int64_t width, int64_t inner, float * sums) {
    int64_t at = 0;
    for (; at + COLUMNS * WIDTH <= width; at += COLUMNS * WIDTH) {
        panel<M, COLUMNS>(a, long_, b + at, width, inner, sums + at);
    }
    for (; at < width; at += WIDTH) {
        panel<M, 1>(a, long_, b + at, width, inner, sums + at);
    }
}

}  // namespace penjing
